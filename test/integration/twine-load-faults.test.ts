// twine-load when things break: it is killed and run again, a master of the cluster dies, the source is emptied, the cluster is
// full. A client writes to the source throughout, mostly commands that must not be executed twice.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { clusterConf, byLetter } from "../support/cluster-conf.ts";
import type { FaultCluster } from "../support/fault-cluster.ts";
import { askForeign } from "../support/foreign-stack.ts";
import { startedCluster } from "../support/one-partition.ts";
import { isMissing } from "../support/programs.ts";
import { callOnce } from "../support/redis-cluster.ts";
import { startRedis, until } from "../support/redis-server.ts";
import { SourceWriter, startLoad, type RunningLoad } from "../support/running-load.ts";
import { runTool } from "../support/run-tool.ts";

const SETTINGS = ["repl-diskless-sync-delay 0", "repl-backlog-size 64mb"];

function started(): Promise<FaultCluster> {
  const shape = { partitions: 2, nodesPerPartition: 2, routers: 1, nameOf: byLetter };
  return startedCluster(clusterConf({ ...shape, lines: ["partitions 2", "cluster loaded"] }));
}

async function follows(live: RunningLoad): Promise<void> {
  await live.says("the cluster has all keys and follows each write");
}

/** Nobody writes any more: it ends by itself after the switch, and both sides have the same values. */
async function endsTheSame(live: RunningLoad, url: string, file: string): Promise<string> {
  await live.says("the application may switch to this cluster");
  const { code, out, err } = await live.ended;
  expect([code, err], out + err).toEqual([0, expect.any(String)]);
  const same = await runTool("runtime", "twine-verify", file, url, file);
  expect([same.out, same.code], same.err).toEqual([
    expect.stringMatching(/^the same: \d+ keys/),
    0,
  ]);
  return err + out;
}

const CUTOVER = ["--cutover", "--until", "1s"];

describe.skipIf(isMissing("redis-server"))("twine-load that is disturbed", () => {
  test("kill -9 of it, and of a master of the cluster: it goes on, and no command counts twice", async () => {
    const cluster = await started();
    const { file } = cluster.config;
    const source = await startRedis(SETTINGS);
    const url = `redis://127.0.0.1:${source.port}`;
    const checkpoint = ["--checkpoint", join(cluster.folder, "load.json")];
    const writer = new SourceWriter(source.port);
    await writer.writes(20);

    const first = startLoad(file, [url, ...checkpoint]);
    await follows(first);
    await writer.writes(50);
    first.child.kill("SIGKILL");
    await first.ended;
    await writer.writes(50);

    const second = startLoad(file, [url, ...checkpoint, ...CUTOVER]);
    await follows(second);
    await cluster.kill("a1");
    await writer.writes(100);
    await cluster.viewWhere("a2 is master", ({ partitions }) => partitions[0]?.master === "a2");
    await writer.writes(100);
    await writer.stop();
    const said = await endsTheSame(second, url, file);
    expect(said).toContain("it went on from the checkpoint");
    expect(said).toContain("trying again");
    expect(said).not.toContain("copied again");

    // The application uses the cluster now: nothing that would empty it.
    await callOnce(source, "FLUSHALL");
    const third = await startLoad(file, [url, ...checkpoint]).ended;
    expect([third.code, third.err]).toEqual([
      1,
      expect.stringContaining("the application may use the cluster already"),
    ]);
    expect(await keysOf(cluster)).toBeGreaterThan(100);
  }, 600_000);

  test("FLUSHALL at the source, and a source that was restarted, are followed by another copy; a full cluster ends it", async () => {
    const cluster = await started();
    const { file } = cluster.config;
    const source = await startRedis(SETTINGS);
    const url = `redis://127.0.0.1:${source.port}`;
    await callOnce(source, "SET", "gone", "1");
    const writer = new SourceWriter(source.port);
    await writer.writes(10);
    const live = startLoad(file, [url, ...CUTOVER]);
    await follows(live);
    await callOnce(source, "FLUSHALL");
    await writer.writes(50);
    await until("it has copied again", () => live.lines().includes("FLUSHALL"));
    await source.kill();
    await source.start();
    await writer.writes(50);
    await writer.stop();
    const said = await endsTheSame(live, url, file);
    expect(said).toContain("has all data of redis://");

    await callOnce(source, "SET", "large", "x".repeat(20_000_000));
    for (const name of ["a1", "a2", "b1", "b2"]) {
      await cluster.ask(name, "CONFIG", "SET", "maxmemory", "10mb");
    }
    const full = await startLoad(file, [url, "--once", "--replace"]).ended;
    expect([full.code, full.err]).toEqual([1, expect.stringMatching(/is full: OOM[^]*maxmemory/)]);
  }, 600_000);

  test("killed while it follows, and the application switched by hand: what clients wrote is never removed", async () => {
    const cluster = await started();
    const { file } = cluster.config;
    const source = await startRedis(SETTINGS);
    const url = `redis://127.0.0.1:${source.port}`;
    const args = [url, "--checkpoint", join(cluster.folder, "load.json")];
    await callOnce(source, "SET", "key", "1");
    const first = startLoad(file, args);
    await follows(first);
    first.child.kill("SIGKILL");
    await first.ended;
    await askForeign(cluster.port("r1"), [["SET", "by the application", "1"]]);
    // The source has another history now: nothing can go on from the mark.
    await source.kill();
    await source.start();
    await callOnce(source, "SET", "other", "2");
    const second = await startLoad(file, args).ended;
    expect([second.code, second.err]).toEqual([
      1,
      expect.stringContaining("the application may use the cluster already"),
    ]);
    expect(await askForeign(cluster.port("r1"), [["GET", "by the application"]])).toEqual(["1"]);

    // The remedy is true.
    for (const name of await mastersOf(cluster)) await cluster.ask(name, "FLUSHALL");
    const third = startLoad(file, args);
    await follows(third);
    await askForeign(cluster.port("r1"), [["SET", "by the application", "1"]]);
    await callOnce(source, "FLUSHALL");
    const { code, err } = await third.ended;
    expect([code, err]).toEqual([
      1,
      expect.stringContaining("the application may use the cluster already"),
    ]);
    expect(await askForeign(cluster.port("r1"), [["GET", "by the application"]])).toEqual(["1"]);
  }, 600_000);

  test("Ctrl-C while it can't reach the source: the second one ends it at once, and the checkpoint goes on", async () => {
    const cluster = await started();
    const { file } = cluster.config;
    const source = await startRedis(SETTINGS);
    const url = `redis://127.0.0.1:${source.port}`;
    const args = [url, "--checkpoint", join(cluster.folder, "load.json")];
    await callOnce(source, "SET", "key", "1");
    const first = startLoad(file, args);
    await follows(first);
    await until("it is in the checkpoint", async () =>
      (await readFile(join(cluster.folder, "load.json"), "utf8")).includes("marks"),
    );
    // It still has its connections, and answers nothing.
    source.signal("SIGSTOP");
    first.child.kill("SIGINT");
    await first.says("Ctrl-C again ends it at once");
    first.child.kill("SIGINT");
    const { code, err } = await first.ended;
    expect([code, err]).toEqual([130, expect.stringContaining("the same --checkpoint goes on")]);
    source.signal("SIGCONT");
    const again = startLoad(file, [...args, ...CUTOVER]);
    expect(await endsTheSame(again, url, file)).toContain("it went on from the checkpoint");
  }, 600_000);

  test("a run that has ended is no reason to empty the cluster; one that was emptied gets everything again", async () => {
    const cluster = await started();
    const { file } = cluster.config;
    const source = await startRedis(SETTINGS);
    const url = `redis://127.0.0.1:${source.port}`;
    const args = [url, "--once", "--checkpoint", join(cluster.folder, "load.json")];
    await callOnce(source, "SET", "key", "1");
    const first = await startLoad(file, args).ended;
    expect(first.code, first.err).toBe(0);

    await callOnce(source, "FLUSHALL");
    await callOnce(source, "SET", "other", "2");
    const again = await startLoad(file, args).ended;
    expect([again.code, again.err]).toEqual([
      1,
      expect.stringContaining("the application may use the cluster already"),
    ]);
    expect(await keysOf(cluster)).toBe(1);

    for (const name of await mastersOf(cluster)) await cluster.ask(name, "FLUSHALL");
    const anew = await startLoad(file, args).ended;
    expect([anew.code, anew.err], anew.out).toEqual([
      0,
      expect.stringContaining("copied again: the cluster is empty"),
    ]);
    expect(await keysOf(cluster)).toBe(1);
  }, 600_000);
});

async function mastersOf(cluster: FaultCluster): Promise<string[]> {
  return ((await cluster.view())?.partitions ?? []).map(({ master }) => master ?? "");
}

async function keysOf(cluster: FaultCluster): Promise<number> {
  let sum = 0;
  for (const name of await mastersOf(cluster)) sum += Number(await cluster.ask(name, "DBSIZE"));
  return sum;
}
