// A backup is restored into a scratch cluster and compared, as a person asks for it; and what the comparison finds.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { expect, onTestFinished, test } from "vitest";
import {
  digestSettings,
  figuresDiffer,
  valuesDiffer,
  type Sampled,
} from "../../runtime/backup/rehearse/compare-data.ts";
import { sampleRdb } from "../../runtime/backup/rehearse/sampled-rdb.ts";
import { binPath } from "../support/bins.ts";
import { systemClock as clock } from "../../runtime/ports/clock.ts";
import { openRdbStream } from "../../runtime/replication/rdb-stream.ts";
import type { ScratchServer } from "../../runtime/replication/scratch-server.ts";
import { startedCluster, twoPartitions } from "../support/one-partition.ts";
import { fill, serverWith } from "../support/rdb-content.ts";
import { until } from "../support/redis-server.ts";
import { runTool } from "../support/run-tool.ts";

const LIBRARY = "#!lua name=lib\nredis.register_function('f', function() return 1 end)";

test("a rehearsal restores into a cluster of its own, compares, is listed, and nothing of it is left", async () => {
  const cluster = await startedCluster(
    twoPartitions(
      "cluster rehearsed",
      "backup-dir backups",
      "backup-every 1d",
      "backup-rehearse 7d",
      "redis repl-diskless-sync-delay 0",
    ),
  );
  const { file } = cluster.config;
  const on = (key: string, command: string, ...words: string[]): Promise<unknown> =>
    cluster.ask(crc32(key) % 2 === 0 ? "a1" : "b1", command, key, ...words);
  for (let at = 0; at < 300; at++) await on(`key:${at}`, "SET", `value ${at}`);
  await on("list", "RPUSH", ...Array.from({ length: 400 }, (_, at) => `item ${at}`));
  await on("set", "SADD", ...Array.from({ length: 400 }, (_, at) => `member ${at}`));
  await on("late", "SET", "1", "PXAT", "4102444800000");
  await on("soon", "SET", "1", "PX", "2000");
  for (const name of ["a1", "b1"]) await cluster.ask(name, "FUNCTION", "LOAD", LIBRARY);
  await cluster.viewWhere("OK", ({ state }) => state === "OK");
  const twine = (...args: string[]) => runTool("runtime", "twine-backup", file, ...args);
  // The alpha takes and rehearses the first one by itself.
  const { backup } = await cluster.viewWhere(
    "the alpha has rehearsed",
    (view) => (view.backup?.rehearsal?.lastAt ?? null) !== null,
    120_000,
  );
  expect(backup?.rehearsal?.failed).toBeUndefined();
  expect((await runTool("runtime", "twine-status", file, "summary")).out).toMatch(
    /rehearsed +20\d\d-/,
  );
  expect((await twine()).code).toBe(0);

  const scratch = join(cluster.folder, "scratch");
  mkdirSync(scratch);
  const rehearsed = await twine("--rehearse", "--scratch", scratch);
  expect([rehearsed.code, rehearsed.err]).toEqual([0, expect.not.stringContaining("error")]);
  expect(rehearsed.out).toMatch(
    /^rehearsed-\S+: 30[34] keys were restored into a scratch cluster of 2 partitions in \d+ s; all counted, 30[34] compared, 1 library of functions: as in the backup\n$/,
  );
  expect(readdirSync(scratch)).toEqual([]);
  expect((await twine("--list")).out).toMatch(/rehearsed 20\d\d-/);
  expect(await on("key:1", "GET")).toBe("value 1");

  // Killed in the middle: its cluster ends by itself, and the next one removes the rest.
  const args = [binPath("twine-backup", "runtime"), "--conf", file, "--rehearse", "latest"];
  const child = spawn(process.execPath, [...args, "--scratch", scratch], { stdio: "ignore" });
  onTestFinished(() => void child.kill("SIGKILL"));
  const envOf = (): string[] =>
    readdirSync(scratch).map((name) => join(scratch, name, "envs", "rehearsal"));
  await until(
    "its cluster is there",
    () => envOf().some((path) => existsSync(join(path, "env.json"))),
    60_000,
  );
  child.kill("SIGKILL");
  await until("its cluster is gone", () => !envOf().some((path) => existsSync(path)), 60_000);

  const [id = ""] = /^\S+/.exec((await twine("--list")).out) ?? [];
  writeFileSync(join(cluster.folder, "backups", id, "partition-1.rdb"), "REDIS0010");
  const broken = await twine("--rehearse", id, "--scratch", scratch);
  expect([broken.code, broken.err]).toEqual([1, expect.stringContaining("partition-1.rdb")]);
  expect((await twine("--list")).out).toMatch(/BROKEN 20\d\d-/);
  expect(readdirSync(scratch)).toEqual([]);
}, 240_000);

/** What a comparison takes, of all that the server holds. */
async function sampled(server: ScratchServer, folder: string, name: string): Promise<Sampled> {
  const { signal } = new AbortController();
  const stream = openRdbStream({ path: server.path }, { credentials: undefined, signal });
  const path = join(folder, `${name}.rdb`);
  const rule = { seed: 7, share: 1, nowMs: Date.now(), isMisplaced: () => false };
  return { sampled: await sampleRdb(stream.chunks(), path, rule), path };
}

test("a lost key, another value, another expiry and another library are found, another encoding is none", async () => {
  const home = await mkdtemp(join(tmpdir(), "twine-compare-"));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  const [one, other] = [await serverWith(undefined), await serverWith(undefined)];
  await fill(one, false);
  await fill(other, false);
  // Streams' ids are of their moment.
  for (const server of [one, other]) await server.call("DEL", "stream", "expires", "99");
  const { signal } = new AbortController();
  let round = 0;
  const compare = async (): Promise<string[]> => {
    const folder = join(home, String(round++));
    mkdirSync(folder);
    const [backup, restored] = [
      await sampled(one, folder, "backup"),
      await sampled(other, folder, "restored"),
    ];
    const ports = { folder, clock, signal };
    return [
      ...figuresDiffer(backup.sampled, restored.sampled),
      ...(await valuesDiffer(backup, restored, await digestSettings(ports), ports)),
    ];
  };
  // A small set in the encoding of a large one, and a member more and less.
  await other.call("SADD", "set", "x".repeat(100));
  await other.call("SREM", "set", "x".repeat(100));
  expect(await compare()).toEqual([]);
  await other.call("SREM", "long-set", "member 7");
  expect(await compare()).toEqual([
    expect.stringMatching(/^1 of \d+ compared keys differ: 'long-set'$/),
  ]);
  await other.call("SADD", "long-set", "member 7");
  await other.call("PEXPIREAT", "text", "4102444800000");
  expect(await compare()).toEqual([
    expect.stringContaining("keys without an expiry instead of"),
    expect.stringContaining("1 keys that expire instead of 0 to 0"),
    expect.stringMatching(/^1 of \d+ compared keys differ: 'text'$/),
  ]);
  await other.call("PERSIST", "text");
  await other.call("DEL", "list");
  await other.call("FUNCTION", "FLUSH");
  expect(await compare()).toEqual([
    expect.stringContaining("keys without an expiry instead of"),
    "0 libraries of functions, not the 1 of the backup",
    expect.stringMatching(/^1 of \d+ compared keys differ: 'list'$/),
  ]);
}, 60_000);
