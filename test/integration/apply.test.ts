// apply.test.ts: twine-apply on real processes, under clients that write through the router all the time: each change in turn,
// no error at a client, nothing lost.
import { readFile, readdir, writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { byLetter, clusterConf } from "../support/cluster-conf.ts";
import type { FaultCluster } from "../support/fault-cluster.ts";
import { startedCluster, startedWriter } from "../support/one-partition.ts";
import { freePort } from "../support/port-claims.ts";
import { isMissing } from "../support/programs.ts";
import { runTool, type ToolRan } from "../support/run-tool.ts";

const CONF = clusterConf({
  ...{ partitions: 2, nodesPerPartition: 3, nameOf: byLetter },
  ...{ statusNodes: 3, monitors: 3, routers: 1 },
  lines: ["partitions 2", "cluster applied"],
});
const WITHIN_MS = 480_000;

interface Report {
  readonly done: readonly { readonly node: string; readonly what: string }[];
  readonly handovers: number;
  readonly waits: readonly unknown[];
}

async function edit(cluster: FaultCluster, change: (text: string) => string): Promise<void> {
  const { file } = cluster.config;
  await writeFile(file, change(await readFile(file, "utf8")));
}

function run(cluster: FaultCluster, ...args: string[]): Promise<ToolRan> {
  return runTool("infra", "twine-apply", cluster.config.file, ...args);
}

async function applied(cluster: FaultCluster): Promise<Report> {
  const { code, out, err } = await run(cluster, "--json");
  expect([code, err, out]).toEqual([0, "", out]);
  return JSON.parse(out) as Report;
}

/** Nodes of which that was done, in the order in which it was. */
function nodesOf(report: Report, what: RegExp): string[] {
  return report.done.filter((done) => what.test(done.what)).map(({ node }) => node);
}

async function setting(cluster: FaultCluster, node: string, name: string): Promise<unknown> {
  const reply = await cluster.ask(node, "CONFIG", "GET", name);
  return Array.isArray(reply) ? reply[1] : reply;
}

const DATA = ["a1", "a2", "a3", "b1", "b2", "b3"];

describe.skipIf(isMissing("redis-server"))("twine-apply", () => {
  test("each change of a running cluster under writers", { timeout: WITHIN_MS }, async () => {
    const cluster = await startedCluster(CONF);
    const writer = await startedWriter(cluster);
    const pids = new Map<string, number>();
    for (const name of [...DATA, "m1", "r1"]) pids.set(name, await cluster.pid(name));

    // Nothing to do.
    expect(await applied(cluster)).toMatchObject({ done: [], handovers: 0, waits: [] });

    // A directive that Redis can change: set while it runs, in the file at once, and nobody restarts.
    await edit(
      cluster,
      (text) =>
        `${text}redis maxmemory 300mb\nredis client-output-buffer-limit normal 1mb 1mb 10\n`,
    );
    expect((await run(cluster, "--dry-run")).code).toBe(3);
    const set = await applied(cluster);
    expect(nodesOf(set, /set while it runs/).sort()).toEqual(DATA);
    for (const node of DATA) {
      expect(await setting(cluster, node, "maxmemory")).toBe(String(300 * 1024 ** 2));
      expect(await setting(cluster, node, "client-output-buffer-limit")).toContain(
        "normal 1048576",
      );
      expect(await readFile(cluster.path(node, "redis.conf"), "utf8")).toContain("maxmemory 300mb");
    }
    for (const [name, pid] of pids) expect(await cluster.pid(name)).toBe(pid);

    // The line removed: the default again.
    await edit(cluster, (text) => text.replace(/^redis maxmemory .*\n/m, ""));
    await applied(cluster);
    expect(await setting(cluster, "a2", "maxmemory")).toBe("0");

    // A directive that is taken at the start: replicas from the last to the first, the master last, one handover each.
    await edit(cluster, (text) => `${text}redis tcp-backlog 300\n`);
    const restarted = await applied(cluster);
    const order = nodesOf(restarted, /restarted, in sync/);
    expect(order.filter((name) => name.startsWith("a"))).toEqual(["a3", "a2", "a1"]);
    expect(order.filter((name) => name.startsWith("b"))).toEqual(["b3", "b2", "b1"]);
    expect(restarted.handovers).toBe(2);
    for (const node of DATA) expect(await setting(cluster, node, "tcp-backlog")).toBe("300");
    expect((await cluster.view())?.state).toBe("OK");

    // The append only file, on and off again.
    await edit(cluster, (text) => `${text}redis appendonly yes\n`);
    const on = await applied(cluster);
    expect(nodesOf(on, /append only file is on/).sort()).toEqual(DATA);
    expect(on.handovers).toBe(2);
    for (const node of DATA) {
      expect(await readdir(cluster.path(node, "data", "appendonlydir"))).not.toEqual([]);
      expect(await readFile(cluster.path(node, "redis.conf"), "utf8")).toContain("appendonly yes");
    }
    await edit(cluster, (text) => text.replace("redis appendonly yes\n", ""));
    expect(nodesOf(await applied(cluster), /append only file is off/).sort()).toEqual(DATA);

    // Nodes come, move and go; a router comes.
    const [a4, r2, b3] = [await freePort(), await freePort(), await freePort()];
    await edit(
      cluster,
      (text) => `${text}a4=data 0 localhost ${a4} 0\nr2=router localhost ${r2}\n`,
    );
    expect(nodesOf(await applied(cluster), /^started/).sort()).toEqual(["a4", "r2"]);
    await cluster.viewWhere("a4 in sync", ({ partitions, state }) => {
      return state === "OK" && (partitions[0]?.replicas.includes("a4") ?? false);
    });
    await edit(cluster, (text) =>
      text.replace(/^a1=.*\n/m, "").replace(/^b3=.*$/m, `b3=data 1 localhost ${b3} 0`),
    );
    const moved = await applied(cluster);
    expect(nodesOf(moved, /stopped: it has left/)).toEqual(["a1"]);
    expect(nodesOf(moved, /restarted/)).toEqual(["b3"]);
    const view = await cluster.viewWhere("moved", ({ state, nodes }) => {
      return state === "OK" && nodes.some(({ name, port }) => name === "b3" && port === b3);
    });
    expect(view.nodes.filter(({ kind }) => kind === "data").map(({ name }) => name)).toEqual([
      "a2",
      "a3",
      "a4",
      "b1",
      "b2",
      "b3",
    ]);

    expect(await writer.stop()).toEqual([]);
    expect(writer.errors).toEqual([]);
    expect(writer.acknowledged.length).toBeGreaterThan(1000);
  });

  test(
    "a status node that leaves: monitors and routers restart, one at a time",
    async () => {
      const cluster = await startedCluster(
        clusterConf({
          ...{ partitions: 1, nodesPerPartition: 2, nameOf: byLetter },
          ...{ statusNodes: 3, monitors: 3, routers: 1 },
          lines: ["partitions 1", "cluster applied"],
        }),
      );
      await edit(cluster, (text) => text.replace(/^s3=.*\n/m, ""));
      const left = await applied(cluster);
      expect(nodesOf(left, /^restarted/).sort()).toEqual(["m1", "m2", "m3", "r1"]);
      expect(nodesOf(left, /stopped: it has left/)).toEqual(["s3"]);
      expect(await applied(cluster)).toMatchObject({ done: [], waits: [] });
    },
    WITHIN_MS,
  );
});
