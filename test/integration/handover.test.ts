// Planned changes of master on real processes, as an operator asks for them, under a client that never stops writing.
import { describe, expect, test } from "vitest";
import type { WhatIf } from "../../runtime/monitor/decide/what-if.ts";
import type { FaultCluster } from "../support/fault-cluster.ts";
import { onePartition, startedCluster, startedWriter } from "../support/one-partition.ts";
import { runTool, type ToolRan } from "../support/run-tool.ts";

// On a busy machine a node answers late, and an alpha loses its lease: neither may look like a fault of a handover.
const CONF = onePartition(
  { dataNodes: 3, monitors: 3 },
  "cluster handover",
  "lease 2s",
  "down-after 3s",
  "hold-for 1m",
);

const failover = (cluster: FaultCluster, ...args: string[]): Promise<ToolRan> =>
  runTool("runtime", "twine-failover", cluster.config.file, ...args);

const stop = (cluster: FaultCluster, ...args: string[]): Promise<ToolRan> =>
  runTool("infra", "twine-stop", cluster.config.file, ...args);

describe("twine-failover NODE", () => {
  test("ten handovers under a pipelining client: no error, and every acknowledged write is there", async () => {
    const cluster = await startedCluster(CONF);
    const writer = await startedWriter(cluster);
    for (let round = 0; round < 10; round++) {
      const name = ["a2", "a3", "a1"][round % 3] ?? "";
      const { code, out, err } = await failover(cluster, name);
      expect(err).toBe("");
      expect(out).toBe(`${name} is master of partition 0\n`);
      expect(code).toBe(0);
      await cluster.viewWhere("OK again", ({ state }) => state === "OK");
    }
    expect(await writer.stop()).toEqual([]);
    expect(writer.errors).toEqual([]);
    expect(writer.acknowledged.length).toBeGreaterThan(1000);
    expect((await cluster.partition(0)).master).toBe("a2");
  });

  test("the old master follows without a full sync, and nobody is left paused", async () => {
    const cluster = await startedCluster(CONF);
    expect((await failover(cluster, "a2")).code).toBe(0);
    await cluster.viewWhere("OK again", ({ state }) => state === "OK");
    const stats = JSON.stringify(await cluster.ask("a2", "INFO", "stats"));
    expect(stats).toContain("sync_partial_ok:2");
    expect(await cluster.ask("a2", "SET", "a", "1")).toBe("OK");
  });

  test("what can't be done is refused with the reason, and nothing changes", async () => {
    const cluster = await startedCluster(CONF);
    const before = await cluster.partition(0);
    const unknown = await failover(cluster, "a9");
    expect(unknown).toMatchObject({ code: 2 });
    expect(unknown.err).toContain("a9 is not in");
    const already = await failover(cluster, "a1");
    expect(already).toMatchObject({ code: 0, out: "a1 is master of partition 0\n" });
    await cluster.kill("a3");
    await cluster.viewWhere("a3 dead", ({ partitions }) => partitions[0]?.dead[0] === "a3");
    const dead = await failover(cluster, "a3");
    expect(dead.code).toBe(1);
    expect(dead.err).toContain("no replica of partition 0 can take over: a3 is dead");
    // Follows somebody else, so it gets nothing of what the master takes.
    await cluster.pause("a2");
    const silent = await failover(cluster, "a2");
    expect(silent.code).toBe(1);
    expect(silent.err).toMatch(/a2 (does not answer|is dead|is behind|died|did not reach)/);
    await cluster.resume("a2");
    expect(await cluster.partition(0)).toMatchObject({
      master: "a1",
      masterRunId: before.masterRunId,
    });
  });

  test("a replica that stops in the middle: the master goes on, the client sees no error", async () => {
    const cluster = await startedCluster(CONF);
    const writer = await startedWriter(cluster);
    // The alpha still holds a fresh word of a2 when it is asked.
    const asked = failover(cluster, "a2");
    await cluster.viewWhere("a handover under way, or over", ({ partitions }) => {
      const [partition] = partitions;
      return (partition?.handover ?? null) !== null || partition?.master === "a2";
    });
    await cluster.pause("a2");
    await asked;
    await cluster.resume("a2");
    await cluster.viewWhere("OK again", ({ state }) => state === "OK");
    expect(await writer.stop()).toEqual([]);
    expect(writer.errors.filter((error) => !error.startsWith("UNCERTAIN"))).toEqual([]);
  });

  test("the alpha dies in the middle: its successor ends what it began or takes it back, and every write is there", async () => {
    const cluster = await startedCluster(CONF);
    const writer = await startedWriter(cluster);
    const asked = failover(cluster, "a2");
    const begun = cluster.viewWhere("a handover under way, or over", ({ partitions }) => {
      const [partition] = partitions;
      return (partition?.handover ?? null) !== null || partition?.master !== "a1";
    });
    // A tool that could not ask says why.
    const failed = asked.then((ran) =>
      ran.code === 0 ? begun : Promise.reject(new Error(ran.err)),
    );
    const view = await Promise.race([begun, failed]);
    await cluster.kill(view.alpha);
    const ran = await asked;
    const after = await cluster.viewWhere("a successor, and the handover is over", (later) => {
      const [partition] = later.partitions;
      const isOver = (partition?.handover ?? null) === null && partition?.master !== null;
      return later.alpha !== view.alpha && isOver;
    });
    const master = after.partitions[0]?.master;
    // A successor that comes late takes it back, and says so; one that comes very late finds nobody who still asks.
    if (ran.code === 0) expect(master).toBe("a2");
    else if (ran.err.includes("was taken back")) expect(master).toBe("a1");
    else expect(ran.err).toContain("no alpha answered within");
    expect(await cluster.ask(master ?? "", "SET", "after", "1")).toBe("OK");
    expect(await writer.stop()).toEqual([]);
    expect(writer.errors).toEqual([]);
  });
});

describe("twine-failover --what-if", () => {
  test("says who takes over, as it then happens, and what would be HALT; it changes nothing", async () => {
    const cluster = await startedCluster(CONF);
    const before = await cluster.view();
    const told = await failover(cluster, "--what-if", "a1", "--json");
    expect(told).toMatchObject({ code: 0, err: "" });
    const { killed } = JSON.parse(told.out) as { killed: WhatIf };
    expect(killed.partitions).toMatchObject([{ masterNow: "a1", needs: null }]);
    const host = await failover(cluster, "--what-if", "localhost");
    expect(host.code).toBe(20);
    expect(host.out).toContain("would be HALT");
    const unknown = await failover(cluster, "--what-if", "a9");
    expect(unknown.code).toBe(2);
    expect(unknown.err).toContain("neither a node nor a host a9");
    expect((await cluster.view())?.revision).toBe(before?.revision);
    await cluster.kill("a1");
    const after = await cluster.viewWhere("a new master", ({ partitions }) => {
      const master = partitions[0]?.master ?? null;
      return master !== null && master !== "a1";
    });
    // Both replicas had everything when asked: the first of them.
    expect(after.partitions[0]?.master).toBe(killed.partitions[0]?.masterThen);
    const alone = await failover(cluster, "--what-if", after.partitions[0]?.master ?? "");
    expect(alone.code).toBe(0);
  });

  test("the only router lets nobody in any more; and without monitors nobody would decide", async () => {
    const cluster = await startedCluster(CONF);
    const router = await failover(cluster, "--what-if", "r1");
    expect(router).toMatchObject({ code: 0, err: "" });
    expect(router.out).toContain("only clients that follow the view");
    await cluster.kill("m1", "m2", "m3");
    // The view still calls all three of them up.
    const { code, out } = await failover(cluster, "--what-if", "a1");
    expect(code).toBe(20);
    expect(out).toContain("would be HALT");
    expect(out).toContain("nothing would be decided: no monitor renews the alpha's lease now");
  });
});

describe("twine-stop NODE", () => {
  test("a master is handed over first: no error at a client, then it is gone", async () => {
    const cluster = await startedCluster(CONF);
    const writer = await startedWriter(cluster);
    const stopped = await stop(cluster, "a1");
    expect(stopped).toMatchObject({ code: 0, err: "" });
    expect(stopped.out).toContain("1 stopped");
    expect(await cluster.isRunning("a1")).toBe(false);
    expect((await cluster.partition(0)).master).toBe("a2");
    expect(await writer.stop()).toEqual([]);
    expect(writer.errors).toEqual([]);
  });

  test("without a replica that could take over it is refused, and the node runs on", async () => {
    const cluster = await startedCluster(CONF);
    await cluster.kill("a2", "a3");
    await cluster.viewWhere("both dead", ({ partitions }) => partitions[0]?.dead.length === 2);
    const refused = await stop(cluster, "a1");
    expect(refused.code).toBe(1);
    expect(refused.err).toContain("a1 is master of partition 0");
    expect(refused.err).toContain("stop it all the same with --force");
    expect(await cluster.isRunning("a1")).toBe(true);
    const forced = await stop(cluster, "a1", "--force");
    expect(forced.code).toBe(0);
    expect(await cluster.isRunning("a1")).toBe(false);
  });
});
