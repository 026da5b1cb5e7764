// Failover on real redis-servers under real monitors: what test/integration/faults.test.ts does not look at.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { registerKeys } from "../../runtime/core/register-keys.ts";
import type { View } from "../../runtime/core/view.ts";
import { MonitoredCluster, partitionOf, type ClusterShape } from "../support/monitored-cluster.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";

interface Told {
  readonly event: string;
  readonly monitor: string;
  readonly node?: string;
}

async function okCluster(shape: Partial<ClusterShape>, ...lines: string[]) {
  const cluster = await MonitoredCluster.create({
    partitions: 1,
    nodesPerPartition: 3,
    dataSettings: [],
    ...shape,
  });
  // A busy machine must not replace the master that a test is about to use.
  const settings = ["down-after 3s", ...lines].map((line) => `${line}\n`).join("");
  await cluster.writeConf(`${cluster.conf}${settings}`);
  cluster.startMonitors();
  await cluster.viewWhere("OK", ({ state }) => state === "OK");
  return cluster;
}

/** Every event from now on, once, as a status node tells it. */
async function listen(cluster: MonitoredCluster): Promise<readonly Told[]> {
  const reported: Told[] = [];
  const link = await cluster.node("s2").link();
  await link.subscribe(registerKeys("test").events, (message) => {
    reported.push(JSON.parse(message) as Told);
  });
  return reported;
}

function hasMaster(name: string): (view: View) => boolean {
  return ({ partitions }) => partitions[0]?.master === name;
}

async function ask(cluster: MonitoredCluster, node: string, ...command: [string, ...string[]]) {
  const link = await cluster.node(node).link();
  const [word, ...args] = command;
  const reply = await link.call(word, ...args);
  link.close();
  return typeof reply === "string" || typeof reply === "number" ? `${reply}` : "";
}

/** Writes `count` keys, each acknowledged by `replicas` replicas. */
async function write(cluster: MonitoredCluster, node: string, count: number, replicas: number) {
  const link = await cluster.node(node).link();
  for (let key = 0; key < count; key++) await link.call("SET", `key:${key}`, "value");
  expect(await link.call("WAIT", replicas, 5000)).toBeGreaterThanOrEqual(replicas);
  link.close();
}

describe.skipIf(isMissing("redis-server"))("failover", () => {
  test("each step is told on the status nodes, in its order, and by the alpha alone", async () => {
    const cluster = await okCluster({});
    const reported = await listen(cluster);
    await cluster.node("p0-1").kill();
    const view = await cluster.viewWhere("p0-2 serves", hasMaster("p0-2"));
    await until("the last replica was told whom to follow", () =>
      reported.some(({ event, node }) => event === "+repoint" && node === "p0-3"),
    );
    const steps = reported.filter(({ event }) =>
      /^(\+failover|\+detach|\+promote|\+promoted|\+master|-failover|\+repoint)$/.test(event),
    );
    expect(steps.map(({ event }) => event)).toEqual([
      "+failover",
      "+detach",
      "+detach",
      "+promote",
      "+promoted",
      "+master",
      "-failover",
      "+repoint",
    ]);
    expect(new Set(steps.map(({ monitor }) => monitor))).toEqual(new Set([view.alpha]));
  });

  test("with ack-replicas 1 a replica that hangs is waited for: it may be the only one that has a write", async () => {
    const cluster = await okCluster({}, "ack-replicas 1");
    cluster.node("p0-2").signal("SIGSTOP");
    await cluster.viewWhere("the hanging one is dead", ({ nodes }) =>
      nodes.some(({ name, role }) => name === "p0-2" && role === "dead"),
    );
    await write(cluster, "p0-1", 100, 1);
    cluster.node("p0-3").signal("SIGSTOP");
    cluster.node("p0-2").signal("SIGCONT");
    await cluster.node("p0-1").kill();
    const halted = await cluster.viewWhere("HALT that says why", ({ partitions }) =>
      (partitions[0]?.needs ?? "").includes("2 of p0-2, p0-3 without a restart"),
    );
    expect(partitionOf(halted, 0).master).toBeNull();
    cluster.node("p0-3").signal("SIGCONT");
    const view = await cluster.viewWhere("a master", ({ partitions }) =>
      Boolean(partitions[0]?.master),
    );
    const master = partitionOf(view, 0).master ?? "";
    expect(await ask(cluster, master, "DBSIZE")).toBe("100");
  });

  test("a replica that is half through a full sync is promoted by nobody but a person", async () => {
    // Method: without a file a restarted node is empty, and each key takes it a while to load.
    const dataSettings = ["key-load-delay 300", "loading-process-events-interval-bytes 1024"];
    const cluster = await okCluster({ nodesPerPartition: 2, dataSettings });
    await write(cluster, "p0-1", 20_000, 1);
    const replica = cluster.node("p0-2");
    await replica.kill();
    await rm(join(replica.folder, "dump.rdb"), { force: true });
    await replica.start();
    await until("p0-2 loads", async () =>
      (await ask(cluster, "p0-2", "INFO", "persistence")).includes("loading:1"),
    );
    await cluster.node("p0-1").kill();
    const view = await cluster.viewWhere("HALT that says why", ({ partitions }) =>
      (partitions[0]?.needs ?? "").startsWith("p0-1 back with its data"),
    );
    expect(partitionOf(view, 0)).toMatchObject({ master: null, lastMaster: "p0-1" });
    expect(partitionOf(view, 0).promoting ?? null).toBeNull();
  });

  test("a master that hangs is detached when it wakes, and follows the new one", async () => {
    const cluster = await okCluster({ nodesPerPartition: 2 });
    await write(cluster, "p0-1", 10, 1);
    cluster.node("p0-1").signal("SIGSTOP");
    await cluster.viewWhere("p0-2 serves", hasMaster("p0-2"));
    cluster.node("p0-1").signal("SIGCONT");
    const view = await cluster.viewWhere("OK", ({ state }) => state === "OK");
    expect(partitionOf(view, 0)).toMatchObject({ master: "p0-2", replicas: ["p0-1"] });
    expect(await ask(cluster, "p0-1", "DBSIZE")).toBe("10");
  });
});
