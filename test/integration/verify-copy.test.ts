// verify-copy.test.ts: the comparison of a resharding between two redis-servers, while the copy is followed.
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { View } from "../../runtime/core/view.ts";
import { Copying } from "../../runtime/move/reshard/copying.ts";
import { verifyCopy } from "../../runtime/move/reshard/verify-copy.ts";
import { openNodeTarget } from "../../runtime/move/target.ts";
import { firstView } from "../../runtime/monitor/decide/views/first-view.ts";
import { systemClock as clock } from "../../runtime/ports/clock.ts";
import { openNodeSocket } from "../../runtime/replication/node-socket.ts";
import { isMissing } from "../support/programs.ts";
import { startRedis } from "../support/redis-server.ts";
import { configOf } from "../unit/monitor/situations.ts";

const LIMIT_MS = 120_000;
/** The new node gives its data so late that what expires is gone there. */
const EXPIRES_MS = 1000;
const LATE = "repl-diskless-sync-delay 3";

function viewOf(port: number): View {
  const config = configOf(
    `a=data 0 localhost ${port} 0\ns=status localhost 7101 0\nm=monitor localhost 7201\n`,
  );
  const first = firstView(config, "d", "m", "");
  const nodes = first.nodes.map((node) =>
    node.kind === "data" ? { ...node, role: "master" as const, inSync: true } : node,
  );
  return { ...first, nodes, partitions: first.partitions.map((one) => ({ ...one, master: "a" })) };
}

/** An old node whose key `renewed` is written all the time, and a new one that holds a copy of its keys. */
async function startCopied() {
  const old = await startRedis(["repl-diskless-sync-delay 0"]);
  const fresh = await startRedis([LATE]);
  const folder = await mkdtemp(join(tmpdir(), "twine-verify-copy-"));
  const access = { clock, silenceMsMax: LIMIT_MS };
  const client = await openNodeSocket({ host: "127.0.0.1", port: old.port }, access);
  const target = await openNodeTarget({ host: "127.0.0.1", port: fresh.port }, access);
  const abort = new AbortController();
  const ports = { password: undefined, tls: undefined, clock, signal: abort.signal };
  await client.call("SET", "kept", "value");
  await client.call("SET", "leased", "value", "PX", "3600000");
  const requireGoing = (): void => undefined;
  const copying = await Copying.open({
    ...{ ...ports, requireGoing, view: viewOf(old.port), targets: [target], folder },
    ...{ partitionOf: () => 0, oldPartitionOf: undefined },
  });
  const over = new AbortController();
  const renewing = (async () => {
    while (!over.signal.aborted) {
      await client.call("SET", "renewed", "value", "PX", String(EXPIRES_MS));
      await clock.delay(20);
    }
  })();
  onTestFinished(async () => {
    over.abort();
    await renewing;
    await copying.close();
    target.close();
    client.destroy();
    await rm(folder, { recursive: true, force: true });
  });
  await copying.load();
  const masters = [{ name: "n", host: "127.0.0.1", port: fresh.port, db: 0 }];
  const options = { ...ports, requireGoing, copying, masters, folder, program: undefined };
  return { abort, folder, options: { ...options, oldPartitionOf: undefined } };
}

describe.skipIf(isMissing("redis-server"))("the comparison before a switch", () => {
  test(
    "a key that expires soon and is renewed all the time is no difference",
    async () => {
      const { options } = await startCopied();
      const verified = await verifyCopy({ ...options, onProgress: () => undefined });
      // Of the others, whether they expire or not, both sides have all.
      expect([verified.isSame, verified.sourceKeys, verified.targetKeys]).toEqual([true, 2, 2]);
    },
    LIMIT_MS,
  );

  test(
    "one that is interrupted leaves no records",
    async () => {
      const { abort, folder, options } = await startCopied();
      const onProgress = (): void => {
        abort.abort(new Error("interrupted"));
      };
      await expect(verifyCopy({ ...options, onProgress })).rejects.toThrow("interrupted");
      expect(await readdir(folder)).not.toContain("verify");
    },
    LIMIT_MS,
  );
});
