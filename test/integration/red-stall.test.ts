// red-stall.test.ts: a client whose own loop stood still must not take that for its master's silence.
import { describe, expect, onTestFinished, test } from "vitest";
import { ReplicaSet } from "../../runtime/replica-sets/replica-set.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { isMissing } from "../support/programs.ts";
import { startRedis, until } from "../support/redis-server.ts";

describe.skipIf(isMissing("redis-server"))("a replica set watched by a process that stalls", () => {
  test("keeps its master, although replies lay unread for longer than down-after", async () => {
    // Method: break the connections, and stop the loop for twice down-after while new ones are being opened: the time for
    // that is over before the first reply can be read.
    const master = await startRedis(["repl-diskless-sync-delay 0"]);
    const replica = await startRedis([`replicaof 127.0.0.1 ${master.port}`]);
    const failovers: string[] = [];
    const set = new ReplicaSet({
      index: 0,
      nodes: [master, replica].map(({ port }) => ({ host: "127.0.0.1", port })),
      credentials: undefined,
      clock: systemClock,
      tls: undefined,
      downAfterMs: 200,
      onChange: () => undefined,
      onFailover: (from, to) => failovers.push(`${from} ${to}`),
      onError: () => undefined,
    });
    onTestFinished(() => set.close());
    await set.tend();
    await until("the replica is in sync", () => set.readers.length === 1);
    const still = new Int32Array(new SharedArrayBuffer(4));
    const link = await master.link();
    for (let count = 0; count < 5; count++) {
      await link.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
      // The loop has to turn for the broken connections to be seen.
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
      const asked = set.tend();
      Atomics.wait(still, 0, 0, 400);
      await asked;
      await set.tend();
    }
    expect(failovers).toEqual([]);
    expect(set.master?.port).toBe(master.port);
    expect(await (await replica.link()).call("INFO", "replication")).toContain("role:slave");
  });
});
