// Faults in the middle of backups and restores, on one cluster of real processes: the tool, a node, the alpha or the router is
// killed at seeded moments, a master fails over, others write, back up and restore at the same time. Whatever happens, all
// data is the old or the new, and a backup that is listed is good.
// TWINE_FAULT_POINTS=20 kills at 20 moments of each; TWINE_FAULT_SEED chooses others.
import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { binPath } from "../support/bins.ts";
import type { View } from "../../runtime/core/view.ts";
import { byLetter, clusterConf } from "../support/cluster-conf.ts";
import { FaultCluster } from "../support/fault-cluster.ts";
import { firstBackup } from "../support/one-partition.ts";
import { until } from "../support/redis-server.ts";
import { runTool } from "../support/run-tool.ts";
import { seededRandom } from "../support/seeded-random.ts";

const POINTS = Number(process.env["TWINE_FAULT_POINTS"] ?? 3);
const SEED = Number(process.env["TWINE_FAULT_SEED"] ?? 12);
const KEYS = Array.from({ length: 200 }, (_, at) => `key:${at}`);
const WITHIN_MS = 120_000;
const TEST_MS = 300_000 + POINTS * 120_000;

let cluster: FaultCluster;
/** The path of a backup in which every key is "saved"; retention does not reach it. */
let saved = "";

beforeAll(async () => {
  cluster = await FaultCluster.create(
    clusterConf({
      ...{ partitions: 2, nodesPerPartition: 2, monitors: 3, routers: 1, nameOf: byLetter },
      lines: [
        ...["cluster faulty", "partitions 2", "backup-dir backups", "backup-every 24d"],
        ...["backup-keep 1000"],
        ...["redis appendonly yes", "redis repl-diskless-sync-delay 0", "hold-for 60s"],
      ],
    }),
  );
  await cluster.start();
  await settled();
  await firstBackup(cluster);
  await write("saved");
  const { code, out, err } = await backup();
  if (code !== 0) throw new Error(err);
  saved = join(cluster.folder, "backups", out.slice(0, out.indexOf(":")));
}, 240_000);
afterAll(() => cluster.remove());

const isOk = (view: View): boolean => view.state === "OK" && (view.restore ?? null) === null;
const settled = (): Promise<View> => cluster.viewWhere("OK without a restore", isOk, WITHIN_MS);
const backup = (...args: string[]) =>
  runTool("runtime", "twine-backup", cluster.config.file, ...args);
const restore = () => runTool("runtime", "twine-restore", cluster.config.file, saved, "--yes");

async function listed(): Promise<readonly { readonly id: string }[]> {
  const { out } = await backup("--list", "--json");
  return (JSON.parse(out) as { readonly backups: readonly { readonly id: string }[] }).backups;
}

async function write(value: string): Promise<void> {
  const { partitions } = await settled();
  for (const { index, master } of partitions) {
    const own = KEYS.filter((key) => crc32(key) % 2 === index);
    await cluster.ask(master ?? "", "MSET", ...own.flatMap((key) => [key, value]));
  }
  // Every replica has it: what dies next takes nothing with it.
  for (const { master } of partitions) await cluster.ask(master ?? "", "WAIT", "1", "10000");
}

/** value -> how many keys have it. */
async function values(): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const { index, master } of (await settled()).partitions) {
    const own = KEYS.filter((key) => crc32(key) % 2 === index);
    for (const value of (await cluster.ask(master ?? "", "MGET", ...own)) as (string | null)[]) {
      found[String(value)] = (found[String(value)] ?? 0) + 1;
    }
  }
  return found;
}

/** A tool that a test can kill. */
function running(tool: string, ...args: string[]) {
  const words = [binPath(tool, "runtime"), ...args, "--conf", cluster.config.file];
  const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "pipe"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  let [out, err] = ["", ""];
  child.stdout.on("data", (data: Buffer) => (out += data.toString()));
  child.stderr.on("data", (data: Buffer) => (err += data.toString()));
  const exit = new Promise<number | null>((resolve) => child.once("close", resolve));
  return { child, exit, text: () => out + err };
}

const VICTIMS = ["the tool", "a replica", "a master", "the alpha", "the router"] as const;

/** Kills one of them `afterMs` after the tool's start, and says what became of the tool. */
async function killedIn(
  [tool, ...args]: readonly [string, ...string[]],
  victim: (typeof VICTIMS)[number],
  afterMs: number,
): Promise<{ readonly code: number | null; readonly text: string }> {
  const view = await settled();
  const [partition] = view.partitions;
  const master = partition?.master ?? "";
  const names = {
    "a replica": master === "a1" ? "a2" : "a1",
    "a master": master,
    "the alpha": view.alpha,
    "the router": "r1",
  };
  const { child, exit, text } = running(tool, ...args);
  await Promise.race([exit, new Promise((resolve) => setTimeout(resolve, afterMs))]);
  if (victim === "the tool") child.kill("SIGKILL");
  else await cluster.kill(names[victim]);
  const code = await exit;
  await cluster.heal();
  return { code, text: text() };
}

/** Seeded victims and moments, spread over `spanMs`. */
function moments(seed: number, spanMs: number) {
  const random = seededRandom(seed);
  return Array.from({ length: POINTS }, (_, at) => ({
    victim: VICTIMS[(at + SEED) % VICTIMS.length] ?? VICTIMS[0],
    afterMs: ((at + random.next()) / POINTS) * spanMs,
  }));
}

test(
  "a restore in which something is killed gives all the old data or all the new",
  async () => {
    const startedMs = performance.now();
    expect((await restore()).code).toBe(0);
    const spanMs = performance.now() - startedMs;
    expect(await values()).toEqual({ saved: 200 });
    for (const { victim, afterMs } of moments(SEED, spanMs)) {
      const what = `${victim} killed after ${afterMs.toFixed(0)} of ${spanMs.toFixed(0)} ms`;
      await write("old");
      const { code, text } = await killedIn(["twine-restore", saved, "--yes"], victim, afterMs);
      if (code !== 0 && victim !== "the tool") expect(text, what).toContain("remedy: ");
      // Released to some nodes and not to all: only another restore can end that, and the status says so.
      const view = await cluster.viewWhere(
        `${what}: over`,
        (seen) => isOk(seen) || (seen.restore?.phase === "released" && seen.state === "HALT"),
        WITHIN_MS,
      );
      if (!isOk(view)) {
        // It is refused until the alpha has seen that the tool is gone.
        const isOver = async (): Promise<boolean> => {
          const now = await cluster.view();
          return (now !== null && isOk(now)) || (await restore()).code === 0;
        };
        await until(`${what}: another restore ends it`, isOver, WITHIN_MS);
      }
      const found = await values();
      expect([what, [{ old: 200 }, { saved: 200 }]], text).toEqual([
        what,
        expect.arrayContaining([found]),
      ]);
      if (code === 0) expect(found, what).toEqual({ saved: 200 });
    }
  },
  TEST_MS,
);

test(
  "a backup in which something is killed is whole or not there, and the next one is taken",
  async () => {
    await write("old");
    const startedMs = performance.now();
    expect((await backup()).code).toBe(0);
    const spanMs = performance.now() - startedMs;
    for (const { victim, afterMs } of moments(SEED + 1, spanMs)) {
      const what = `${victim} killed after ${afterMs.toFixed(0)} of ${spanMs.toFixed(0)} ms`;
      const { code, text } = await killedIn(["twine-backup"], victim, afterMs);
      if (code !== 0 && victim !== "the tool") expect(text, what).toContain("remedy: ");
      await settled();
      const next = await backup();
      expect([what, next.code, next.err]).toEqual([what, 0, expect.not.stringContaining("error")]);
      const backups = await listed();
      expect(backups.length).toBeGreaterThan(0);
      for (const { id } of backups.slice(0, 2)) {
        const verified = await backup("--verify", id);
        expect([what, verified.code], verified.err).toEqual([what, 0]);
      }
    }
  },
  TEST_MS,
);

test("a restore ends a backup that runs, a second backup is refused, and a write is held until the restore is over", async () => {
  await write("old");
  for (const name of ["a1", "a2", "b1", "b2"]) {
    await cluster.ask(name, "CONFIG", "SET", "repl-diskless-sync-delay", "40");
  }
  const slow = running("twine-backup");
  const place = join(cluster.folder, "backups");
  const hasBegun = until("it has begun", () =>
    readdirSync(place).some((id) => existsSync(join(place, id, "in-progress.json"))),
  );
  const endedEarly = slow.exit.then(() => Promise.reject(new Error(slow.text())));
  endedEarly.catch(() => undefined);
  await Promise.race([hasBegun, endedEarly]);
  const second = await backup();
  const restoring = running("twine-restore", saved, "--yes");
  await cluster.viewWhere("a restore runs", ({ restore: record }) => (record ?? null) !== null);
  const answer = await cluster.ask("r1", "SET", "key:0", "during").then(
    (reply) => reply as string,
    (error: unknown) => String(error),
  );
  const [code, slowCode] = [await restoring.exit, await slow.exit];
  expect([code, restoring.text()]).toEqual([0, expect.stringContaining("200 keys were restored")]);
  expect([second.code, second.err]).toEqual([1, expect.stringMatching(/process \d+.*remedy/s)]);
  expect([slowCode, slow.text()]).toEqual([1, expect.stringContaining("a restore runs")]);
  const found = await values();
  expect(found).toEqual(answer === "OK" ? { saved: 199, during: 1 } : { saved: 200 });
  for (const name of ["a1", "a2", "b1", "b2"]) {
    await cluster.ask(name, "CONFIG", "SET", "repl-diskless-sync-delay", "0");
  }
}, 240_000);
