// A node that somebody made master by hand and wrote to, on real processes: its own writes are saved before it follows.
import { execFile } from "node:child_process";
import { readdir, writeFile } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import type { FaultCluster } from "../support/fault-cluster.ts";
import { startedCluster } from "../support/one-partition.ts";
import { startRedis, until } from "../support/redis-server.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { runTool } from "../support/run-tool.ts";
import type { NodeView, View } from "../../runtime/core/view.ts";

const CONF = `
cluster rescue
partitions 1
a1=data 0 localhost {a1} 0
a2=data 0 localhost {a2} 0
s1=status localhost {s1} 0
m1=monitor localhost {m1}
`;

/** Makes `node` a master with a write that no other node has, before any monitor can look. */
async function goRogue(cluster: FaultCluster, node: string, key: string): Promise<void> {
  const link = await openRedisLink(
    { host: "127.0.0.1", port: cluster.port(node) },
    { connectTimeoutMs: 2000 },
  );
  const replies = await Promise.all([
    link.call("REPLICAOF", "NO", "ONE"),
    ...(key === "" ? [] : [link.call("SET", key, "mine")]),
  ]);
  expect(replies.at(-1)).toBe("OK");
  link.close();
}

function nodeOf(view: View, name: string): NodeView {
  const node = view.nodes.find((candidate) => candidate.name === name);
  if (node === undefined) throw new Error(`the view has no ${name}`);
  return node;
}

const isOk = ({ state }: View): boolean => state === "OK";

test("what a rogue master alone has is saved to an RDB that Redis loads; then it follows again", async () => {
  const cluster = await startedCluster(CONF);
  expect(await cluster.ask("a1", "SET", "shared", "1")).toBe("OK");
  await until("a2 has it too", async () => (await cluster.ask("a2", "GET", "shared")) === "1");
  await goRogue(cluster, "a2", "own");
  const view = await cluster.viewWhere("rescued and OK", (seen) => {
    return isOk(seen) && nodeOf(seen, "a2").rescue !== undefined;
  });
  const { rescue } = nodeOf(view, "a2");
  expect(rescue).toMatchObject({ kind: "saved", why: "" });
  const path = (rescue?.place ?? "").replace(/^m1:/, "");
  expect(basename(path)).toMatch(/^a2-\d+-\d+\.rdb$/);
  expect(dirname(path)).toBe(cluster.path("m1", "rescue"));
  expect(await readdir(dirname(path))).toEqual([basename(path)]);
  const checked = await promisify(execFile)("redis-check-rdb", [path]);
  expect(checked.stdout).toContain("RDB looks OK");
  const loaded = await startRedis([`dbfilename ${basename(path)}`, `dir ${dirname(path)}`]);
  const link = await loaded.link();
  expect(await link.call("MGET", "own", "shared")).toEqual(["mine", "1"]);
  expect(await cluster.ask("a1", "GET", "own")).toBeNull();
  for (const format of ["summary", "list", "xml", "html", "json"]) {
    const { out } = await runTool("runtime", "twine-status", cluster.config.file, format);
    expect(out.replaceAll(/\s+/g, "")).toContain(basename(path));
  }
  // Somebody has seen to it: the line goes, the file stays. Asked again, nothing changes.
  const { file } = cluster.config;
  for (const round of [1, 2]) {
    const forgotten = await runTool("runtime", "twine-failover", file, "--forget-rescue", "a2");
    expect([round, forgotten.code, forgotten.err]).toEqual([round, 0, ""]);
    expect(forgotten.out).toContain(`the file stays at m1:${path}`);
  }
  const told = await runTool("runtime", "twine-status", file);
  expect([told.code, told.out]).toEqual([0, expect.stringContaining("Nothing is wrong.")]);
  expect(await readdir(dirname(path))).toEqual([basename(path)]);
  const unknown = await runTool("runtime", "twine-failover", file, "--forget-rescue", "a9");
  expect(unknown.code).toBe(2);
  expect(unknown.err).toContain("a9");
});

test("a node that somebody makes master by hand time after time is rescued each time, to a file of its own", async () => {
  const cluster = await startedCluster(CONF);
  await cluster.viewWhere("OK", isOk);
  const places: string[] = [];
  for (const key of ["first", "second", "third"]) {
    await goRogue(cluster, "a2", key);
    const view = await cluster.viewWhere(`${key} rescued and OK`, (seen) => {
      const { rescue } = nodeOf(seen, "a2");
      return isOk(seen) && rescue !== undefined && rescue.place !== places.at(-1);
    });
    const { rescue, earlierRescues = [] } = nodeOf(view, "a2");
    expect(earlierRescues.map(({ place }) => place)).toEqual(places);
    expect(rescue).toMatchObject({ kind: "saved" });
    places.push(rescue?.place ?? "");
    expect(await cluster.ask("a1", "GET", key)).toBeNull();
  }
  expect(new Set(places).size).toBe(3);
  // Each file holds what was written then alone, for the node has followed the master in between.
  const held: unknown[] = [];
  for (const place of places) {
    const path = place.replace(/^m1:/, "");
    const loaded = await startRedis([`dbfilename ${basename(path)}`, `dir ${dirname(path)}`]);
    held.push(await (await loaded.link()).call("KEYS", "*"));
  }
  expect(held).toEqual([["first"], ["second"], ["third"]]);
  const { file } = cluster.config;
  const told = await runTool("runtime", "twine-status", file);
  for (const place of places) {
    expect(told.out.replaceAll(/\s+/g, "")).toContain(basename(place));
  }
  const forgotten = await runTool("runtime", "twine-failover", file, "--forget-rescue", "a2");
  expect(forgotten.out).toContain(`the files stay at ${places.join(", ")}`);
  const quiet = await runTool("runtime", "twine-status", file);
  expect(quiet.out).toContain("Nothing is wrong.");
});

test("a node that restarted from its RDB and was made master by hand is rescued, though Redis 7.0 has not counted its write", async () => {
  const cluster = await startedCluster(CONF);
  expect(await cluster.ask("a1", "SET", "shared", "1")).toBe("OK");
  await until("a2 has it too", async () => (await cluster.ask("a2", "GET", "shared")) === "1");
  await cluster.ask("a2", "SAVE");
  // Method: the monitor sleeps, so that nobody makes the node follow again before it is made master.
  await cluster.pause("m1");
  await cluster.kill("a2");
  await cluster.launch("a2");
  await until("a2 has loaded its data", async () => {
    const info = await cluster.ask("a2", "INFO").catch(() => "");
    return typeof info === "string" && /^loading:0/m.test(info);
  });
  await goRogue(cluster, "a2", "own");
  await cluster.resume("m1");
  const view = await cluster.viewWhere("rescued and OK", (seen) => {
    return isOk(seen) && nodeOf(seen, "a2").rescue !== undefined;
  });
  const path = (nodeOf(view, "a2").rescue?.place ?? "").replace(/^m1:/, "");
  const loaded = await startRedis([`dbfilename ${basename(path)}`, `dir ${dirname(path)}`]);
  expect(await (await loaded.link()).call("MGET", "own", "shared")).toEqual(["mine", "1"]);
});

test("a replica that somebody made master by hand looks further than the others, and does not take a lost master's place", async () => {
  const cluster = await startedCluster(`${CONF}a3=data 0 localhost {a3} 0\nack-replicas 1\n`);
  // Method: the monitor sleeps while a2 is made master by hand, a3 gets what a2 does not, and the master is lost.
  await cluster.pause("m1");
  await goRogue(cluster, "a2", "x".repeat(5000));
  expect(await cluster.ask("a1", "SET", "acknowledged", "1")).toBe("OK");
  await until("a3 has it", async () => (await cluster.ask("a3", "GET", "acknowledged")) === "1");
  await cluster.kill("a1");
  await cluster.resume("m1");
  const view = await cluster.viewWhere("served by another", ({ partitions: [partition] }) => {
    return partition !== undefined && ![null, "a1"].includes(partition.master);
  });
  expect(view.partitions[0]?.master).toBe("a3");
  expect(await cluster.ask("a3", "GET", "acknowledged")).toBe("1");
});

test("a rogue master that took no write of its own leaves no file", async () => {
  const cluster = await startedCluster(CONF);
  expect(await cluster.ask("a1", "SET", "shared", "1")).toBe("OK");
  await cluster.viewWhere("OK", isOk);
  await goRogue(cluster, "a2", "");
  await cluster.viewWhere("noticed", (view) => !isOk(view));
  const view = await cluster.viewWhere("OK again", isOk);
  expect(nodeOf(view, "a2").rescue).toBeUndefined();
  expect(await cluster.ask("a2", "INFO", "replication")).toContain("role:slave");
  expect(await readdir(cluster.path("m1"))).not.toContain("rescue");
});

test("what can't be saved is not thrown away: the node keeps it, and follows again after a restart", async () => {
  const cluster = await startedCluster(CONF);
  await writeFile(cluster.path("m1", "rescue"), "a file where a folder is needed");
  await goRogue(cluster, "a2", "own");
  const view = await cluster.viewWhere(
    "kept",
    (seen) => nodeOf(seen, "a2").rescue !== undefined && nodeOf(seen, "a2").role === "dead",
  );
  expect(nodeOf(view, "a2").rescue).toMatchObject({ kind: "kept", place: null });
  expect(view.state).toBe("DEGRADED");
  // Detached: it takes no write, and its key is still there.
  expect(await cluster.ask("a2", "INFO", "keyspace")).toContain("keys=1");
  await expect(cluster.ask("a2", "SET", "more", "1")).rejects.toThrow(/READONLY/);
  const { out } = await runTool("runtime", "twine-status", cluster.config.file);
  expect(out).toContain("twine-stop a2; copy its data folder");
  const { file } = cluster.config;
  const refused = await runTool("runtime", "twine-failover", file, "--forget-rescue", "a2");
  expect([refused.code, refused.err]).toEqual([1, expect.stringContaining("still keeps them")]);
  await cluster.kill("a2");
  await cluster.heal();
  const healed = await cluster.viewWhere("OK again", isOk);
  expect(nodeOf(healed, "a2").rescue).toBeUndefined();
});
