// first-session.test.ts: the main job, by the bins, as a person would do it: up, write, look, stop, up again.
import { spawnSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isMissing } from "../support/programs.ts";
import { localCluster, TWO_PARTITIONS, type LocalCluster } from "../support/local-cluster.ts";

const KEYS = Array.from({ length: 1000 }, (_, index) => `user:${index}`);

describe.skipIf(isMissing("redis-server", "redis-cli"))("a first session", () => {
  let cluster: LocalCluster;

  beforeAll(async () => {
    cluster = await localCluster(TWO_PARTITIONS);
  });
  afterAll(async () => {
    await cluster.remove();
  });

  test("twine-up brings the cluster from nothing to OK, and a second time changes nothing", async () => {
    const first = await cluster.must("twine-up");
    expect(first).toContain("OK");
    const pids = await Promise.all(["a1", "b2", "s3", "m1", "r1"].map((name) => cluster.pid(name)));
    await cluster.must("twine-up");
    const again = await Promise.all(
      ["a1", "b2", "s3", "m1", "r1"].map((name) => cluster.pid(name)),
    );
    expect(again).toEqual(pids);
  });

  test("a cluster without a key comes up again, and so does one that was just emptied", async () => {
    await cluster.must("twine-stop");
    await cluster.must("twine-up");
    await cluster.must("twine", "mset", "a", "1", "b", "2", "c", "3", "d", "4");
    await expect.poll(() => recordedKeys(cluster), POLL).toBeGreaterThan(0);
    await cluster.must("twine", "flushall");
    await cluster.must("twine-stop");
    await cluster.must("twine-up");
    expect(await cluster.must("twine", "dbsize")).toBe("0\n");
  });

  test("twine sets and gets through the real redis-cli", async () => {
    expect(await cluster.must("twine", "set", "foo", "bar")).toBe("OK\n");
    expect(await cluster.must("twine", "get", "foo")).toBe("bar\n");
    expect(await cluster.must("roma", "get", "foo")).toBe("bar\n");
  });

  test("twine-status ends with 0 and answers in every format", async () => {
    expect(await cluster.must("twine-status")).toContain("OK");
    expect(await cluster.must("twine-status", "list")).toMatch(/^a1\s+data/m);
    expect(await cluster.must("twine-status", "xml")).toContain("<?xml");
    expect(await cluster.must("twine-status", "html")).toContain("<!doctype html>");
    const view = JSON.parse(await cluster.must("twine-status", "json")) as { state: string };
    expect(view.state).toBe("OK");
  });

  test("a thousand keys are all there after stop and start, each in the partition that twine-hash names", async () => {
    const sets = KEYS.map((key) => `set ${key} v-${key}`).join("\n");
    expect((await cluster.feed(`${sets}\n`, "twine")).stdout.match(/OK/g)).toHaveLength(1000);
    await cluster.must("twine-stop");
    expect((await cluster.run("twine-status")).code).toBe(1);
    await cluster.must("twine-up");
    const gets = await cluster.feed(KEYS.map((key) => `get ${key}`).join("\n") + "\n", "twine");
    expect(gets.stdout.trim().split("\n")).toEqual(KEYS.map((key) => `v-${key}`));
    const held = [await keysOf(cluster, 0), await keysOf(cluster, 1)];
    expect(held[0]?.size).toBeGreaterThan(300);
    for (const key of KEYS) {
      expect(held.filter((keys) => keys.has(key))).toHaveLength(1);
    }
    for (const key of KEYS.slice(0, 8)) {
      const partition = Number(await cluster.must("twine-hash", key, "2"));
      expect(held[partition]?.has(key)).toBe(true);
    }
  });

  test("a twine.conf by which the keys would lie elsewhere is refused, not obeyed", async () => {
    const file = join(cluster.folder, "twine.conf");
    const text = await readFile(file, "utf8");
    await writeFile(file, `${text}\nhash crc16\n`);
    const ran = await cluster.run("twine", "get", "foo");
    const status = await cluster.run("twine-status");
    await writeFile(file, text);
    expect(ran.code).toBe(1);
    expect(ran.stderr).toContain("the keys are placed by crc32 over 2 partitions");
    expect(status.stdout).toContain("crc16");
    expect(await cluster.must("twine", "get", "foo")).toBe("bar\n");
  });

  test("the router of twine.conf serves any client", async () => {
    const redis = new Redis({ port: cluster.port("r1"), host: "127.0.0.1" });
    expect(await redis.set("by-router", "1")).toBe("OK");
    expect(await redis.mget("by-router", "user:1", "user:2")).toEqual([
      "1",
      "v-user:1",
      "v-user:2",
    ]);
    expect(await redis.dbsize()).toBe(KEYS.length + 2);
    redis.disconnect();
  });

  test("a killed replica is dead in the status and back in sync after twine-start", async () => {
    const view = JSON.parse(await cluster.must("twine-status", "json")) as {
      partitions: { replicas: string[] }[];
    };
    const replica = view.partitions[0]?.replicas[0] ?? "";
    process.kill(await cluster.pid(replica), "SIGKILL");
    await expect.poll(async () => (await cluster.run("twine-status")).code, POLL).toBe(10);
    await cluster.must("twine-start");
    await expect.poll(async () => (await cluster.run("twine-status")).code, POLL).toBe(0);
  });

  test("twine-stop leaves nothing running", async () => {
    const names = ["a1", "a2", "a3", "b1", "b2", "b3", "s1", "s2", "s3", "m1", "m2", "m3", "r1"];
    const pids = await Promise.all(names.map((name) => cluster.pid(name)));
    await cluster.must("twine-stop");
    expect(pids.filter((pid) => isRunning(pid))).toEqual([]);
  });
});

const POLL = { timeout: 30_000, interval: 200 };

/** As the status nodes remember what every data node held last. */
async function recordedKeys(cluster: LocalCluster): Promise<number> {
  const redis = new Redis({ port: cluster.port("s1"), host: "127.0.0.1" });
  const record = await redis.hvals("twine:offsets");
  redis.disconnect();
  const keys = record.map((entry) => Number(/"keys":(\d+)/.exec(entry)?.[1] ?? 0));
  return Math.max(0, ...keys);
}

async function keysOf(cluster: LocalCluster, partition: number): Promise<Set<string>> {
  const text = await cluster.must("twine-status", "json");
  const view = JSON.parse(text) as { partitions: { master: string }[] };
  const master = view.partitions[partition]?.master ?? "";
  const redis = new Redis({ port: cluster.port(master), host: "127.0.0.1" });
  const keys = await redis.keys("*");
  redis.disconnect();
  return new Set(keys);
}

/** An ended process that nobody has asked for its exit code yet (a zombie) runs no more. */
function isRunning(pid: number): boolean {
  const state = spawnSync("ps", ["-o", "stat=", "-p", String(pid)])
    .stdout.toString()
    .trim();
  return state !== "" && !state.startsWith("Z");
}
