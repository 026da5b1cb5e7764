// twine-load: a running Redis into a cluster of two partitions while a client writes every type of key; what is refused.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { clusterConf, byLetter } from "../support/cluster-conf.ts";
import type { FaultCluster } from "../support/fault-cluster.ts";
import { startedCluster } from "../support/one-partition.ts";
import { isMissing } from "../support/programs.ts";
import { callOnce } from "../support/redis-cluster.ts";
import { startRedis, until, type TestRedis } from "../support/redis-server.ts";
import { SourceWriter, startLoad } from "../support/running-load.ts";
import { runTool } from "../support/run-tool.ts";

const SETTINGS = ["repl-diskless-sync-delay 0", "repl-backlog-size 64mb"];

async function started(): Promise<FaultCluster> {
  const shape = { partitions: 2, nodesPerPartition: 2, routers: 1, nameOf: byLetter };
  return startedCluster(clusterConf({ ...shape, lines: ["partitions 2", "cluster loaded"] }));
}

/** A master and its replica, in touch. */
async function sourceWithReplica(): Promise<[TestRedis, TestRedis]> {
  const master = await startRedis(SETTINGS);
  const replica = await startRedis([...SETTINGS, `replicaof 127.0.0.1 ${master.port}`]);
  await until("the replica is in touch", async () =>
    ((await callOnce(replica, "INFO", "replication")) as string).includes("master_link_status:up"),
  );
  return [master, replica];
}

describe.skipIf(isMissing("redis-server"))("twine-load of a Redis", () => {
  test("live while a client writes: it says when the application may switch, and nothing is missing", async () => {
    const cluster = await started();
    const { file } = cluster.config;
    const [master] = await sourceWithReplica();
    const url = `redis://127.0.0.1:${master.port}`;
    const writer = new SourceWriter(master.port);
    await writer.writes(20);

    const live = startLoad(file, [url, "--cutover"]);
    await live.says("the cluster has all keys and follows each write");
    await writer.writes(20);
    expect(live.lines()).not.toContain("the application may switch to this cluster");
    await writer.stop();
    await live.says("the application may switch to this cluster");
    // A late write is still copied.
    await callOnce(master, "SET", "late", "1");
    live.child.kill("SIGINT");
    const { code, out, err } = await live.ended;
    expect([code, out], err).toEqual([0, expect.stringContaining("has all data of redis://")]);
    expect(err).not.toContain("the master forks");

    const same = await runTool("runtime", "twine-verify", file, url, file);
    expect([same.out, same.code], same.err).toEqual([
      expect.stringMatching(/^the same: \d+ keys/),
      0,
    ]);
    const again = await runTool("runtime", "twine-load", file, url);
    expect([again.code, again.err]).toEqual([
      1,
      expect.stringMatching(/holds keys already[^]*--merge[^]*--replace/),
    ]);
  }, 480_000);

  test("--once with a password and a database; --merge and --replace; what is refused", async () => {
    const cluster = await started();
    const { file } = cluster.config;
    const source = await startRedis([...SETTINGS]);
    for (let at = 0; at < 200; at++) await callOnce(source, "SET", `other:${at}`, "db 0");
    const link = await source.link();
    await link.call("SELECT", "3");
    for (let at = 0; at < 300; at++) await link.call("SET", `key:${at}`, String(at));
    await link.call("SET", "soon", "1", "EX", "1000");
    await link.call("CONFIG", "SET", "requirepass", "old secret");
    const url = `redis://127.0.0.1:${source.port}/3`;
    const secret = join(cluster.folder, "old-password");
    await writeFile(secret, "old secret\n", { mode: 0o600 });
    const run = async (...args: string[]) => {
      const { ended } = startLoad(file, args, { TWINE_SOURCE_PASSWORD_FILE: secret });
      return await ended;
    };

    const denied = await runTool("runtime", "twine-load", file, url, "--once");
    expect([denied.code, denied.err]).toEqual([
      1,
      expect.stringMatching(/NOAUTH[^]*TWINE_SOURCE_PASSWORD_FILE/),
    ]);
    const ran = await run(url, "--once", "--json");
    expect([ran.code, ran.err]).toEqual([0, ""]);
    expect(JSON.parse(ran.out)).toMatchObject({ ok: true, keys: 301, verified: { isSame: true } });

    await link.call("SET", "key:1", "newer");
    const merged = await run(url, "--once", "--merge");
    expect([merged.code, merged.err]).toEqual([1, expect.stringContaining("BUSYKEY")]);
    const replaced = await run(url, "--once", "--replace");
    expect([replaced.code, replaced.out], replaced.err).toEqual([
      0,
      expect.stringContaining("301 keys were copied"),
    ]);
    expect(replaced.err).toContain("the master forks");
    const beside = await run(url.replace("/3", ""), "--once", "--merge");
    expect([beside.code, beside.out], beside.err).toEqual([
      0,
      expect.stringContaining("200 keys were copied"),
    ]);

    const own = await runTool(
      ...(["runtime", "twine-load", file] as const),
      `redis://127.0.0.1:${cluster.port("a1")}`,
      "--replace",
    );
    expect([own.code, own.err]).toEqual([
      1,
      expect.stringMatching(/a node of this cluster itself/),
    ]);
    const dead = await run("redis://127.0.0.1:1", "--replace");
    expect([dead.code, dead.err]).toEqual([1, expect.stringMatching(/127\.0\.0\.1:1[^]*remedy:/)]);
    for (const [args, says] of [
      [["redis://:secret@127.0.0.1"], "a password on the command line"],
      [["http://127.0.0.1"], "can't be read"],
      [[url, "--merge", "--replace"], "exclude each other"],
      [[url, "--duplicates", "any"], "is no rule"],
      [[url, "--until", "soon"], "is no duration"],
    ] as const) {
      const wrong = await run(...args);
      expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining(says)]);
    }
  }, 360_000);
});
