// aof-rewritten.test.ts: the wait for a node's append only file after a restore, on real servers.
import { rm } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { systemClock } from "../../runtime/ports/clock.ts";
import { untilAofRewritten } from "../../runtime/backup/restore/aof-rewritten.ts";
import { openNodeSocket } from "../../runtime/replication/node-socket.ts";
import { isMissing } from "../support/programs.ts";
import { startRedis, until } from "../support/redis-server.ts";

async function nodeWithAof() {
  const server = await startRedis(["appendonly yes", "auto-aof-rewrite-percentage 0"]);
  const link = await server.link();
  await link.call("SET", "k", "1");
  const socket = await openNodeSocket(
    { host: "127.0.0.1", port: server.port },
    {
      ...{ clock: systemClock, credentials: undefined, tls: undefined, silenceMsMax: 30_000 },
      signal: new AbortController().signal,
    },
  );
  const rewritten = (signal = new AbortController().signal): Promise<void> =>
    untilAofRewritten("a1", (...words) => socket.call(...words), { clock: systemClock, signal });
  return { server, link, rewritten };
}

/** Every rewrite fails: its folder is gone, as for a disk that takes nothing. */
async function failing() {
  const node = await nodeWithAof();
  await rm(node.server.folder, { recursive: true, force: true });
  await node.link.call("BGREWRITEAOF").catch(() => undefined);
  await until("the rewrite has failed", async () =>
    JSON.stringify(await node.link.call("INFO", "persistence")).includes(
      "aof_last_bgrewrite_status:err",
    ),
  );
  return node;
}

describe.skipIf(isMissing("redis-server"))("the append only file after a restore", () => {
  test("is waited for while it is rewritten, and not where it is off", async () => {
    const { link, rewritten } = await nodeWithAof();
    await link.call("BGREWRITEAOF");
    await rewritten();
    expect(await link.call("INFO", "persistence")).toContain("aof_rewrite_in_progress:0");
    await link.call("CONFIG", "SET", "appendonly", "no");
    await rewritten();
  });

  test("that can't be written ends the wait with node, reason and remedy", async () => {
    const { rewritten } = await failing();
    await expect(rewritten()).rejects.toMatchObject({
      problems: [
        {
          code: "AOF_REWRITE_FAILED",
          message: expect.stringMatching(/^a1 holds the new data and can't write/) as string,
          remedy: expect.stringContaining("its log") as string,
        },
      ],
    });
  }, 60_000);

  test("is waited for no longer than the signal says", async () => {
    const { rewritten } = await failing();
    const abort = new AbortController();
    const waiting = rewritten(abort.signal);
    abort.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
  }, 60_000);
});
