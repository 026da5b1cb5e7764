// router-take-over.test.ts: twine-apply restarts a cluster's only router: the new process listens before the old one ends, so a
// client can connect at any time, and what was asked is answered.
import { readFile, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import type { FaultCluster } from "../support/fault-cluster.ts";
import { onePartition, startedCluster } from "../support/one-partition.ts";
import { isMissing } from "../support/programs.ts";
import { freePort } from "../support/port-claims.ts";
import { until } from "../support/redis-server.ts";
import { runTool } from "../support/run-tool.ts";

const WITHIN_MS = 180_000;

interface Seen {
  replies: number;
  /** Of connections that sent nothing yet, and of such that were asked something. */
  readonly failures: string[];
}

/** A new connection for each command, all the time. */
function connecting(port: number): { readonly seen: Seen; stop(): Promise<void> } {
  const seen: Seen = { replies: 0, failures: [] };
  const ending = new AbortController();
  const one = (): Promise<void> =>
    new Promise((resolve) => {
      const socket = connect({ port, host: "127.0.0.1" });
      let text = "";
      socket.once("connect", () => socket.write("INCR connections\r\n"));
      socket.on("data", (chunk: Buffer) => {
        text += chunk.toString();
        if (!/^:\d+\r\n$/.test(text)) return;
        seen.replies += 1;
        socket.end();
      });
      socket.once("error", (error) => seen.failures.push(error.message));
      socket.once("close", () => {
        if (text === "") seen.failures.push("closed without a reply");
        resolve();
      });
    });
  const all = Promise.all(
    Array.from({ length: 4 }, async () => {
      while (!ending.signal.aborted) await one();
    }),
  );
  return {
    seen,
    stop: async () => {
      ending.abort();
      await all;
    },
  };
}

async function edit(cluster: FaultCluster, change: (text: string) => string): Promise<void> {
  const { file } = cluster.config;
  await writeFile(file, change(await readFile(file, "utf8")));
}

describe.skipIf(isMissing("redis-server"))("a router that twine-apply restarts", () => {
  test(
    "takes clients all the time: with one process, to two, and back",
    async () => {
      const stats = await freePort();
      const conf = onePartition({ dataNodes: 2, monitors: 1 }, "cluster taken", "workers 1");
      const cluster = await startedCluster(conf.replace(/^r1=.*$/m, (line) => `${line} ${stats}`));
      const pid = await cluster.pid("r1");
      const clients = connecting(cluster.port("r1"));
      await until("clients are served", () => clients.seen.replies > 100);
      for (const workers of [2, 3, 1]) {
        const before = await cluster.pid("r1");
        await edit(cluster, (text) => text.replace(/^workers \d+/m, `workers ${workers}`));
        const { code, out, err } = await runTool("infra", "twine-apply", cluster.config.file);
        expect([code, err, out]).toEqual([0, "", out]);
        expect(out).toContain("r1: restarted");
        expect(await cluster.pid("r1")).not.toBe(before);
        await until("the old process is gone", () => isGone(before));
        const count = clients.seen.replies;
        await until("clients are served", () => clients.seen.replies > count + 100);
      }
      await clients.stop();
      expect(clients.seen.failures).toEqual([]);
      expect(isGone(pid)).toBe(true);
      const page = await fetch(`http://127.0.0.1:${stats}/healthz`);
      expect(page.status).toBe(200);
      const again = await runTool("infra", "twine-apply", cluster.config.file);
      expect(again.out).toBe("0 done, 0 handovers\n");
    },
    WITHIN_MS,
  );

  test(
    "goes on with its old process when the new one can't start",
    async () => {
      const conf = onePartition({ dataNodes: 2, monitors: 1 }, "cluster taken", "workers 1");
      const cluster = await startedCluster(conf);
      const before = await cluster.pid("r1");
      // Another program has the port that the changed line names for the statistics.
      const other = createServer();
      onTestFinished(() => void other.close());
      const taken = await freePort();
      await new Promise<void>((done) => other.listen(taken, "127.0.0.1", done));
      await edit(cluster, (text) => text.replace(/^(r1=.*)$/m, `$1 ${taken}`));
      const { code, err } = await runTool("infra", "twine-apply", cluster.config.file);
      expect([code, err]).toEqual([1, expect.stringContaining("another process listens there")]);
      expect(await cluster.pid("r1")).toBe(before);
      expect(await cluster.ask("r1", "PING")).toBe("PONG");
    },
    WITHIN_MS,
  );
});

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}
