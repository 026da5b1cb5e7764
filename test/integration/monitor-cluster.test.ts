import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { RedisReply } from "../../runtime/ports/redis-link.ts";
import { MonitoredCluster, partitionOf } from "../support/monitored-cluster.ts";
import { isMissing } from "../support/programs.ts";
import type { TestRedis } from "../support/redis-server.ts";
import { until } from "../support/redis-server.ts";

const AOF = ["appendonly yes", "appendfsync always"];

async function fill(node: TestRedis, keys: number): Promise<void> {
  const link = await node.link();
  for (let key = 0; key < keys; key++) await link.call("SET", `key:${key}`, `value:${key}`);
  link.close();
}

function textOf(reply: RedisReply): string {
  return typeof reply === "string" ? reply : "";
}

async function keysOf(node: TestRedis): Promise<number> {
  const link = await node.link();
  const count = await link.call("DBSIZE");
  link.close();
  return Number(count);
}

async function okCluster(
  partitions: number,
  nodesPerPartition: number,
  dataSettings: readonly string[] = AOF,
): Promise<MonitoredCluster> {
  const cluster = await MonitoredCluster.create({ partitions, nodesPerPartition, dataSettings });
  cluster.startMonitors();
  await cluster.viewWhere("OK", ({ state }) => state === "OK");
  return cluster;
}

async function offsetsHold(cluster: MonitoredCluster, node: string, keys: number): Promise<void> {
  const link = await cluster.node("s1").link();
  await until(`the offsets know ${keys} keys of ${node}`, async () =>
    textOf(await link.call("HGET", "test:offsets", node)).includes(`"keys":${keys}`),
  );
  link.close();
}

describe.skipIf(isMissing("redis-server"))("twined over real redis-servers", () => {
  test("a first start reaches OK with the first node of each partition as master", async () => {
    const cluster = await okCluster(2, 3);
    const view = await cluster.viewWhere("OK", ({ state }) => state === "OK");
    expect(view.partitions.map(({ master, replicas }) => [master, replicas])).toEqual([
      ["p0-1", ["p0-2", "p0-3"]],
      ["p1-1", ["p1-2", "p1-3"]],
    ]);
    expect(view.epoch).toBeGreaterThan(0);
    await fill(cluster.node("p0-1"), 10);
    await until("a replica has the keys", async () => (await keysOf(cluster.node("p0-3"))) === 10);
    const health = await cluster.fetch("m2", "/healthz");
    expect([health.status, await health.json()]).toMatchObject([200, { ok: true, why: "" }]);
    const status = (await (await cluster.fetch("m3", "/status.json")).json()) as { state: string };
    expect(status.state).toBe("OK");
  });

  test("another monitor takes over with the next epoch and the roles stay", async () => {
    const cluster = await okCluster(1, 2);
    const before = await cluster.viewWhere("OK", ({ state }) => state === "OK");
    await cluster.endMonitor(before.alpha, "SIGKILL");
    const after = await cluster.viewWhere("a later epoch", ({ epoch }) => epoch > before.epoch);
    expect(after.alpha).not.toBe(before.alpha);
    expect(after.partitions).toEqual(before.partitions);
    await cluster.viewWhere("the killed monitor is dead", ({ nodes }) =>
      nodes.some(({ name, role }) => name === before.alpha && role === "dead"),
    );
    cluster.startMonitors(before.alpha);
    const healed = await cluster.viewWhere("OK", ({ state }) => state === "OK");
    expect(healed.epoch).toBeGreaterThanOrEqual(after.epoch);
  });

  test("a paused alpha finds its connections closed and gives way when it wakes", async () => {
    const cluster = await okCluster(1, 2);
    const before = await cluster.viewWhere("OK", ({ state }) => state === "OK");
    cluster.signalMonitor(before.alpha, "SIGSTOP");
    const next = await cluster.viewWhere("a later epoch", ({ epoch }) => epoch > before.epoch);
    const link = await cluster.node("p0-1").link();
    await until("only the new alpha's connection is left", async () => {
      const list = textOf(await link.call("CLIENT", "LIST"));
      const names = [...list.matchAll(/name=(twined:\S+)/g)].map((match) => match[1]);
      return names.length === 1 && names[0] === `twined:${next.alpha}:${next.epoch}`;
    });
    cluster.signalMonitor(before.alpha, "SIGCONT");
    await until("the old alpha says that it is none", () =>
      cluster.monitorLog(before.alpha).includes('"msg":"-alpha"'),
    );
    const view = await cluster.viewWhere("OK", ({ state }) => state === "OK");
    expect(view.epoch).toBeGreaterThanOrEqual(next.epoch);
    expect(view.partitions.map(({ master }) => master)).toEqual(["p0-1"]);
  });

  test("a replica that was killed and started again comes back into sync", async () => {
    const cluster = await okCluster(1, 2);
    await cluster.node("p0-2").kill();
    await cluster.viewWhere("DEGRADED", ({ state }) => state === "DEGRADED");
    await fill(cluster.node("p0-1"), 20);
    await cluster.node("p0-2").start();
    await cluster.viewWhere("OK", ({ state }) => state === "OK");
    expect(await keysOf(cluster.node("p0-2"))).toBe(20);
  });

  test("a node that makes itself master is detached and follows again", async () => {
    const cluster = await okCluster(1, 2);
    const link = await cluster.node("p0-2").link();
    await link.call("REPLICAOF", "NO", "ONE");
    await until("it is a replica again", async () =>
      textOf(await link.call("INFO", "replication")).includes("role:slave"),
    );
    const view = await cluster.viewWhere("OK", ({ state }) => state === "OK");
    expect(partitionOf(view, 0).master).toBe("p0-1");
  });

  test.each([
    ["AOF", AOF],
    ["RDB", ["save 3600 1"]],
  ])("a restart of the whole cluster by %s keeps the data", async (_name, settings) => {
    const cluster = await okCluster(1, 3, settings);
    await fill(cluster.node("p0-1"), 50);
    await offsetsHold(cluster, "p0-1", 50);
    await until("a replica has them", async () => (await keysOf(cluster.node("p0-3"))) === 50);
    const oldRunId = (await cluster.view())?.partitions[0]?.masterRunId;
    await cluster.stopMonitors();
    const servers = [...cluster.nodes.values()];
    for (const [name, server] of cluster.nodes) {
      if (name.startsWith("p") && settings !== AOF) {
        const link = await server.link();
        await link.call("SAVE");
      }
    }
    await Promise.all(servers.map((server) => server.kill()));
    await Promise.all(servers.map((server) => server.start()));
    cluster.startMonitors();
    // The next epoch begins with what the last one left behind: only another run id tells the restarted master.
    const view = await cluster.viewWhere(
      "OK with a restarted master",
      ({ state, partitions }) => state === "OK" && partitions[0]?.masterRunId !== oldRunId,
    );
    // On a busy machine more than one election may be needed.
    expect(view.epoch).toBeGreaterThan(1);
    const { master } = partitionOf(view, 0);
    expect(master).toBe("p0-1");
    for (const name of ["p0-1", "p0-2", "p0-3"]) expect(await keysOf(cluster.node(name))).toBe(50);
  });

  test("a last master that lost its data halts the partition until the loss is accepted", async () => {
    const cluster = await okCluster(1, 2);
    await fill(cluster.node("p0-1"), 30);
    await offsetsHold(cluster, "p0-1", 30);
    await until("the replica has them", async () => (await keysOf(cluster.node("p0-2"))) === 30);
    await cluster.node("p0-2").kill();
    await cluster.node("p0-1").kill();
    const aof = join(cluster.node("p0-1").folder, "appendonlydir");
    await rm(aof, { recursive: true, force: true });
    await rm(join(cluster.node("p0-1").folder, "dump.rdb"), { force: true });
    await cluster.node("p0-1").start();
    await cluster.node("p0-2").start();
    const halted = await cluster.viewWhere(
      "HALT that names the way out",
      ({ state, partitions }) =>
        state === "HALT" &&
        (partitions[0]?.needs ?? "").includes("twine-failover --accept-loss p0-2"),
    );
    expect(partitionOf(halted, 0).needs).toContain("came back empty");

    const wrong = await cluster.run("twine-failover", "--accept-loss", "p9-9");
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining("p9-9 is not in")]);
    const done = await cluster.run("twine-failover", "--accept-loss", "p0-2");
    expect(done).toMatchObject({ code: 0, out: "p0-2 is master of partition 0\n" });
    const view = await cluster.viewWhere("OK", ({ state }) => state === "OK");
    expect(partitionOf(view, 0).master).toBe("p0-2");
    expect(await keysOf(cluster.node("p0-1"))).toBe(30);
    const again = await cluster.run("twine-failover", "--accept-loss", "p0-1");
    expect([again.code, again.err]).toEqual([1, expect.stringContaining("no loss to accept")]);
  });

  test("status nodes that were wiped do not cost the data nodes their keys", async () => {
    const cluster = await okCluster(1, 2);
    await fill(cluster.node("p0-1"), 12);
    await until("the replica has them", async () => (await keysOf(cluster.node("p0-2"))) === 12);
    await cluster.stopMonitors();
    for (const name of ["s1", "s2", "s3"]) {
      const link = await cluster.node(name).link();
      await link.call("FLUSHALL");
    }
    await cluster.node("p0-1").kill();
    await cluster.node("p0-2").kill();
    await cluster.node("p0-1").start();
    await cluster.node("p0-2").start();
    cluster.startMonitors();
    await cluster.viewWhere("HALT with a way out", ({ partitions }) =>
      (partitions[0]?.needs ?? "").includes("twine-failover --accept-loss"),
    );
    expect((await cluster.run("twine-failover", "--accept-loss", "p0-1")).code).toBe(0);
    await cluster.viewWhere("OK", ({ state }) => state === "OK");
    expect(await keysOf(cluster.node("p0-2"))).toBe(12);
  });

  test("a changed twine.conf is adopted at SIGHUP, and a changed hash is refused", async () => {
    // Over one partition every function does the same, and is the same.
    const cluster = await okCluster(2, 2);
    const line = await cluster.addDataNode("p0-3", 0);
    await cluster.writeConf(`${cluster.conf}${line}\n`);
    cluster.signalMonitors("SIGHUP");
    const grown = await cluster.viewWhere(
      "OK with the new node",
      ({ state, confDigest }) => state === "OK" && confDigest === cluster.digest,
    );
    expect(partitionOf(grown, 0).replicas).toEqual(["p0-2", "p0-3"]);

    await cluster.writeConf(`${cluster.conf}hash crc16\n`);
    cluster.signalMonitors("SIGHUP");
    await until("the refusal is in the log", () =>
      cluster.monitorLog(grown.alpha).includes("keys are placed by crc32"),
    );
    expect((await cluster.view())?.confDigest).toBe(grown.confDigest);
  });

  test("a dead status node degrades the cluster and nothing else", async () => {
    const cluster = await okCluster(1, 2);
    await cluster.node("s2").kill();
    const view = await cluster.viewWhere("DEGRADED", ({ state }) => state === "DEGRADED");
    expect(view.nodes.filter(({ role }) => role === "dead").map(({ name }) => name)).toEqual([
      "s2",
    ]);
    await cluster.node("s2").start();
    await cluster.viewWhere("OK", ({ state }) => state === "OK");
  });

  test("twined refuses a name that is no monitor, and ends with 0 at SIGTERM", async () => {
    const cluster = await okCluster(1, 1);
    const wrong = await cluster.run("twined", "s1");
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining("m1, m2, m3")]);
    expect(await cluster.endMonitor("m1", "SIGTERM")).toBe(0);
  });
});
