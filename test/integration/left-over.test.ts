// left-over.test.ts: twine-stop and a node whose line has left twine.conf, in a cluster that lives on.
import { readFile, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import type { FaultCluster } from "../support/fault-cluster.ts";
import { onePartition, startedCluster, startedWriter } from "../support/one-partition.ts";
import { runTool } from "../support/run-tool.ts";

const CONF = onePartition({ dataNodes: 2, monitors: 1 }, "cluster left");

async function takeOut(cluster: FaultCluster, node: string): Promise<void> {
  const { file } = cluster.config;
  const conf = await readFile(file, "utf8");
  await writeFile(file, conf.replace(new RegExp(`^${node}=.*$`, "m"), ""));
}

test("a retired node is stopped alone by its name, and once more it is not running", async () => {
  const cluster = await startedCluster(CONF);
  await takeOut(cluster, "a2");
  process.kill(await cluster.pid("m1"), "SIGHUP");
  await cluster.viewWhere("a2 gone", ({ nodes }) => !nodes.some(({ name }) => name === "a2"));
  const stop = await runTool("infra", "twine-stop", cluster.config.file, "a2");
  expect(stop.err).toBe("");
  expect(stop.out).toBe("a2: stopped\n1 stopped, 0 were not running\n");
  expect(await cluster.isRunning("a2")).toBe(false);
  for (const name of ["a1", "s1", "m1", "r1"]) {
    expect(await cluster.isRunning(name), name).toBe(true);
  }
  const again = await runTool("infra", "twine-stop", cluster.config.file, "a2");
  expect(again.out).toBe("0 stopped, 1 were not running\n");
});

test("a master whose line was taken out hands over before it is stopped, though no monitor has read the file", async () => {
  const cluster = await startedCluster(CONF);
  const writer = await startedWriter(cluster);
  await takeOut(cluster, "a1");
  const stop = await runTool("infra", "twine-stop", cluster.config.file, "a1");
  expect(stop.out, stop.err).toBe("a1: stopped\n1 stopped, 0 were not running\n");
  await cluster.viewWhere("a2 serves", ({ partitions }) => partitions[0]?.master === "a2");
  expect(await writer.stop()).toEqual([]);
  expect(writer.errors).toEqual([]);
});

test("a master whose line was taken out and that nobody can follow is not stopped, unless told so", async () => {
  const cluster = await startedCluster(CONF);
  await cluster.kill("a2");
  await cluster.viewWhere("a2 dead", ({ partitions }) => partitions[0]?.dead[0] === "a2");
  await takeOut(cluster, "a1");
  const { file } = cluster.config;
  const stop = await runTool("infra", "twine-stop", file, "a1");
  expect(stop.err).toMatch(/a1 is still a master and was not stopped: .*a2 is dead/);
  expect(stop.err).toMatch(/remedy: .*twine-stop a1 --no-handover/);
  expect(stop.code).toBe(1);
  expect(await cluster.isRunning("a1")).toBe(true);
  const forced = await runTool("infra", "twine-stop", file, "a1", "--no-handover");
  expect(forced.out, forced.err).toMatch(/1 stopped/);
});
