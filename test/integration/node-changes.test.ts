// Data nodes that come and go with twine.conf, on real processes: added ones are synced in, removed ones handed over
// when master, detached, and gone.
import { readFile, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import type { View } from "../../runtime/core/view.ts";
import type { FaultCluster } from "../support/fault-cluster.ts";
import { onePartition, startedCluster, startedWriter } from "../support/one-partition.ts";
import { freePort } from "../support/port-claims.ts";
import { runTool } from "../support/run-tool.ts";

const CONF = onePartition({ dataNodes: 2, monitors: 3 }, "cluster changes");

/** Edits twine.conf, starts what is new, and has the monitors named read it again. */
async function edit(
  cluster: FaultCluster,
  change: (text: string) => string,
  monitors = ["m1", "m2", "m3"],
): Promise<void> {
  const { file } = cluster.config;
  await writeFile(file, change(await readFile(file, "utf8")));
  for (const tool of ["twine-setup", "twine-start"]) {
    const { code, err } = await runTool("infra", tool, file);
    expect(code, err).toBe(0);
  }
  for (const name of monitors) process.kill(await cluster.pid(name), "SIGHUP");
}

const names = (view: View): string[] =>
  view.nodes.filter(({ kind }) => kind === "data").map(({ name }) => name);

test("a node added is synced in when a majority of the monitors has read it", async () => {
  const cluster = await startedCluster(CONF);
  expect(await cluster.ask("a1", "SET", "k", "1")).toBe("OK");
  const port = await freePort();
  const add = (text: string): string => `${text}a3=data 0 localhost ${port} 0\n`;
  // The alpha and one more: two of three.
  const alpha = (await cluster.view())?.alpha ?? "";
  await edit(cluster, add, [alpha, alpha === "m1" ? "m2" : "m1"]);
  const view = await cluster.viewWhere("a3 in sync", ({ partitions, state }) => {
    return state === "OK" && (partitions[0]?.replicas.includes("a3") ?? false);
  });
  expect(names(view)).toEqual(["a1", "a2", "a3"]);
  expect(view.partitions[0]?.master).toBe("a1");
});

test("a replica removed is detached and leaves the view, while a client writes", async () => {
  const cluster = await startedCluster(CONF);
  const port = cluster.port("a2");
  const writer = await startedWriter(cluster);
  await edit(cluster, (text) => text.replace(/^a2=.*$/m, ""));
  const view = await cluster.viewWhere("a2 gone", (seen) => names(seen).length === 1);
  expect(view).toMatchObject({
    state: "OK",
    partitions: [{ master: "a1", replicas: [], dead: [] }],
  });
  expect(view.confDigest).toHaveLength((await cluster.view())?.confDigest.length ?? 0);
  const info = JSON.stringify(await cluster.ask("a2", "INFO", "replication"));
  expect(info).toContain("master_port:1\\r");
  expect(port).toBe(cluster.port("a2"));
  expect(await writer.stop()).toEqual([]);
  expect(writer.errors).toEqual([]);
});

test("a master removed hands over first: no error at a client, every write is there, and it is gone", async () => {
  const cluster = await startedCluster(CONF);
  const writer = await startedWriter(cluster);
  await edit(cluster, (text) => text.replace(/^a1=.*$/m, ""));
  const view = await cluster.viewWhere("a1 gone", (seen) => names(seen).length === 1);
  expect(view.partitions[0]).toMatchObject({ master: "a2", replicas: [], dead: [] });
  expect(await writer.stop()).toEqual([]);
  expect(writer.errors).toEqual([]);
});

test("a partition moves to other nodes in one edit: the new ones are synced in, then the old ones leave", async () => {
  const cluster = await startedCluster(CONF);
  const writer = await startedWriter(cluster);
  const [first, second] = [await freePort(), await freePort()];
  await edit(cluster, (text) =>
    text
      .replace(/^a1=.*$/m, `b1=data 0 localhost ${first} 0`)
      .replace(/^a2=.*$/m, `b2=data 0 localhost ${second} 0`),
  );
  const view = await cluster.viewWhere("moved", (seen) => {
    return seen.state === "OK" && names(seen).join() === "b1,b2";
  });
  // The first that was in sync took over.
  const [partition] = view.partitions;
  expect([partition?.master, ...(partition?.replicas ?? [])].sort()).toEqual(["b1", "b2"]);
  expect(await writer.stop()).toEqual([]);
  expect(writer.errors).toEqual([]);
});
