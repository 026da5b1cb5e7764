// Faults of real redis-servers that a role does not show: what the alpha does about them and what the view says.
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import type { NodeView, View } from "../../runtime/core/view.ts";
import { MonitoredCluster, partitionOf } from "../support/monitored-cluster.ts";
import { isMissing } from "../support/programs.ts";
import { startRedis, until, type TestRedis } from "../support/redis-server.ts";

async function okCluster(nodesPerPartition: number): Promise<MonitoredCluster> {
  const dataSettings = ["appendonly no"];
  const cluster = await MonitoredCluster.create({ partitions: 1, nodesPerPartition, dataSettings });
  cluster.startMonitors();
  await cluster.viewWhere("OK", ({ state }) => state === "OK");
  return cluster;
}

function nodeOf(view: View, name: string): NodeView | undefined {
  return view.nodes.find((node) => node.name === name);
}

/** As the last view has them: on a busy machine the first node may have been failed over already. */
async function rolesOf(cluster: MonitoredCluster): Promise<{ master: string; replica: string }> {
  const view = await cluster.viewWhere("OK", ({ state }) => state === "OK");
  const { master, replicas } = partitionOf(view, 0);
  return { master: master ?? "", replica: replicas[0] ?? "" };
}

function codesOf(view: View, name: string): string[] {
  return (nodeOf(view, name)?.troubles ?? []).map(({ code }) => code);
}

async function call(node: TestRedis, ...words: [string, ...(string | number)[]]): Promise<unknown> {
  const link = await node.link();
  try {
    return await link.call(...words);
  } finally {
    link.close();
  }
}

describe.skipIf(isMissing("redis-server"))("faults that a role does not show", () => {
  test("two of three data nodes fall silent: the third becomes master, and a failure to decide would be shown", async () => {
    const cluster = await okCluster(3);
    for (const name of ["p0-1", "p0-2"]) cluster.node(name).signal("SIGSTOP");
    try {
      const view = await cluster.viewWhere(
        "p0-3 is master",
        (seen) => partitionOf(seen, 0).master === "p0-3",
      );
      expect(view.undecided).toBeUndefined();
      expect(view.state).toBe("DEGRADED");
    } finally {
      for (const name of ["p0-1", "p0-2"]) cluster.node(name).signal("SIGCONT");
    }
    await cluster.viewWhere("OK again", ({ state }) => state === "OK");
  });

  test("a master whose disk fails hands over, and the view says what is wrong with it", async () => {
    const cluster = await okCluster(2);
    const { master, replica } = await rolesOf(cluster);
    await call(cluster.node(master), "SET", "a", "1");
    await rm(cluster.node(master).folder, { recursive: true, force: true });
    await call(cluster.node(master), "BGSAVE");
    const view = await cluster.viewWhere(
      `${replica} is master and ${master} is shown`,
      (seen) =>
        partitionOf(seen, 0).master === replica && codesOf(seen, master).includes("WRITES_REFUSED"),
    );
    expect(view.state).toBe("DEGRADED");
    expect(await call(cluster.node(replica), "GET", "a")).toBe("1");
    await until("twine-status names cause and remedy", async () => {
      const { out } = await cluster.run("twine-status");
      return out.includes("its last RDB save failed") && out.includes("BGSAVE");
    });
    await until("twine-failover says why not", async () => {
      const { err } = await cluster.run("twine-failover", master);
      return err.includes(`${master} refuses writes: its last RDB save failed`);
    });
  });

  test("a replica that somebody pointed at another master is rescued and follows its own again", async () => {
    // Method: the monitors sleep meanwhile, so that it has loaded the other's data when they look.
    const cluster = await okCluster(2);
    const { master, replica: name } = await rolesOf(cluster);
    await call(cluster.node(master), "SET", "ours", "1");
    const foreign = await startRedis();
    await call(foreign, "SET", "foreign", "1");
    cluster.signalMonitors("SIGSTOP");
    const replica = cluster.node(name);
    await call(replica, "REPLICAOF", "127.0.0.1", foreign.port);
    await until("it has the other's data", async () => {
      const got = await call(replica, "GET", "foreign").catch(() => null);
      return got === "1";
    });
    cluster.signalMonitors("SIGCONT");
    const view = await cluster.viewWhere(
      `${name} is rescued and in sync`,
      (seen) => nodeOf(seen, name)?.rescue?.kind === "saved" && seen.state === "OK",
    );
    const [, path = ""] = /^m\d:(.*)$/.exec(nodeOf(view, name)?.rescue?.place ?? "") ?? [];
    expect(existsSync(path)).toBe(true);
    expect(await call(replica, "GET", "ours")).toBe("1");
    expect(partitionOf(view, 0).master).toBe(master);
  });
});
