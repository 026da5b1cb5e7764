// reshard.test.ts: twine-reshard on real processes under writers that count every write, and with what may die killed.
import { describe, expect, onTestFinished, test } from "vitest";
import { builtinRouting } from "../../runtime/core/routing.ts";
import { seededRandom } from "../../runtime/ports/seeded-random.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import type { View } from "../../runtime/core/view.ts";
import { CountedWriter } from "../support/counted-writer.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { ReshardCluster, type Layout, type RunningReshard } from "../support/reshard-cluster.ts";

const ACKNOWLEDGED = ["ack-replicas 1", "redis repl-backlog-size 64mb"];
const LIMIT_MS = 240_000;
const TWO: Layout = { partitions: 2, lines: [] };
const THREE: Layout = { partitions: 3, lines: [] };

interface Running {
  readonly cluster: ReshardCluster;
  readonly writer: CountedWriter;
  readonly fill: readonly string[];
}

async function startUnderWriters(from: Layout, to: Layout, seed: number): Promise<Running> {
  const cluster = await ReshardCluster.start(from, to, ACKNOWLEDGED);
  onTestFinished(() => cluster.remove());
  const fill = Array.from({ length: 3000 }, (_, index) => `fill:${index}`);
  await cluster.old.ask("r1", "MSET", ...fill.flatMap((key) => [key, key]));
  const writer = new CountedWriter(cluster.port("r1"), 3, seed);
  onTestFinished(() => writer.stop());
  await until("the writers write", () => writer.acknowledged > 500);
  return { cluster, writer, fill };
}

/** Every key lies in its new partition and nowhere else, with every acknowledged write. */
async function expectAllMoved({ cluster, writer, fill }: Running, to: Layout): Promise<void> {
  const before = writer.acknowledged;
  await until("the writers write on", () => writer.acknowledged > before + 300, 60_000);
  await writer.stop();
  const written = await writer.check();
  expect(writer.wrong).toEqual([]);
  const hash = to.lines.includes("hash crc16") ? "crc16" : "crc32";
  const routing = builtinRouting({ hash, partitions: to.partitions });
  const keys = await cluster.keysOfPartitions();
  expect(keys.length).toBe(to.partitions);
  expect(keys.flat().toSorted()).toEqual([...written, ...fill].toSorted());
  const places = keys.map(
    (own) => new Set(own.map((key) => routing.partitionOf(Buffer.from(key)))),
  );
  expect(places.map((place) => [...place])).toEqual(keys.map((_, index) => [index]));
}

/** So many steps of a SCAN, or all to its end. */
async function scanned(cluster: ReshardCluster, from: string, steps: number) {
  const keys: string[] = [];
  let cursor = from;
  for (let step = 0; step < steps && (step === 0 || cursor !== "0"); step++) {
    const reply = (await cluster.old.ask("r1", "SCAN", cursor)) as [string, string[]];
    cursor = reply[0];
    keys.push(...reply[1]);
  }
  return { cursor, keys };
}

async function succeeds(cluster: ReshardCluster): Promise<void> {
  for (let tries = 1; ; tries++) {
    const run = cluster.reshard("--empty");
    const { code, out } = await run.ended;
    if (code === 0) return;
    if (tries === 15) throw new Error(`${out}${run.lines()}`);
    // What was killed is found dead, another run's record is removed, or masters change.
    await systemClock.delay(3000);
  }
}

async function atPhase(run: RunningReshard, phase: string, delayMs: number): Promise<void> {
  const isThere = (): boolean => run.child.exitCode !== null || run.lines().includes(phase);
  await until(phase, isThere, 120_000);
  await systemClock.delay(delayMs);
}

describe.skipIf(isMissing("redis-server"))("twine-reshard", () => {
  test(
    "processes that start with the old twine.conf after it lead, route and fail over by the new partitions",
    async () => {
      const running = await startUnderWriters(TWO, THREE, 20);
      const { cluster, writer } = running;
      expect((await cluster.reshard().ended).code).toBe(0);
      const { epoch } = await cluster.old.viewWhere("OK", ({ state }) => state === "OK");
      await cluster.old.kill("m1", "m2", "m3", "r1");
      await cluster.old.heal();
      const led = (view: View): boolean => view.epoch > epoch && view.state === "OK";
      const view = await cluster.old.viewWhere("led again", led);
      expect(view.hashing?.partitions).toBe(3);
      expect(view.partitions.map(({ master }) => master)).toEqual(["n0-1", "n1-1", "n2-1"]);
      await writer.stop();
      const again = new CountedWriter(cluster.port("r1"), 1, 21, { prefix: "again" });
      onTestFinished(() => again.stop());
      await until("it writes", () => again.acknowledged > 200, 60_000);
      await cluster.old.kill("n1-1");
      const isOver = ({ partitions }: View): boolean => partitions[1]?.master === "n1-2";
      await cluster.old.viewWhere("failed over", isOver);
      // With ack-replicas 1 a master without a replica executes writes, but they are not acknowledged.
      const routing = builtinRouting({ hash: "crc32", partitions: 3 });
      const numbers = Array.from({ length: 100 }, (_, index) => `of-one:${index}`);
      const key = numbers.find((name) => routing.partitionOf(Buffer.from(name)) === 1) ?? "";
      expect(await cluster.old.ask("r1", "INCR", key).catch(String)).toContain("held by 0 of 1");
      await cluster.startNew();
      const acknowledges = async (): Promise<boolean> =>
        Number(await cluster.old.ask("r1", "INCR", key).catch(() => 0)) > 1;
      await until("partition 1 acknowledges writes", acknowledges, 60_000);
      const before = again.acknowledged;
      await until("it writes on", () => again.acknowledged > before + 200, 60_000);
      await again.stop();
      await again.check();
      expect(again.wrong).toEqual([]);
    },
    LIMIT_MS,
  );

  test.each([
    ["2 to 3 partitions", TWO, THREE],
    ["3 to 2 partitions of another hash", THREE, { partitions: 2, lines: ["hash crc16"] }],
  ])(
    "from %s under writers: no error, nothing lost, each key in one place",
    async (_, from, to) => {
      const running = await startUnderWriters(from, to, 1);
      const { cluster, writer } = running;
      const dry = cluster.reshard("--dry-run", "--json");
      expect(JSON.parse((await dry.ended).out)).toMatchObject({ ok: true });
      const half = await scanned(cluster, "0", 10);
      const run = cluster.reshard("--json");
      const { code, out } = await run.ended;
      expect([code, run.lines()]).toEqual([0, ""]);
      expect(JSON.parse(out)).toMatchObject({ ok: true, misplacedKeys: 0 });
      await cluster.old.viewWhere("OK", ({ state }) => state === "OK");
      const rest = await scanned(cluster, half.cursor, Infinity);
      expect([...half.keys, ...rest.keys]).toEqual(expect.arrayContaining([...running.fill]));
      await expectAllMoved(running, to);
      expect(writer.errors).toEqual([]);
      const again = cluster.reshard();
      expect((await again.ended).code).toBe(1);
      expect(again.lines()).toContain("divides the keys as the cluster does");
    },
    LIMIT_MS,
  );

  test.each([
    ["copying", 1],
    ["verifying", 13],
    ["following", 2],
    ["switching", 3],
    ["switching", 4],
  ])(
    "the tool is killed while it is %s (seed %i): the old partitions serve on, and it begins anew",
    async (phase, seed) => {
      const running = await startUnderWriters(TWO, THREE, seed);
      const { cluster } = running;
      const run = cluster.reshard();
      await atPhase(run, phase, seededRandom(seed).next() * 300);
      run.child.kill("SIGKILL");
      await run.ended;
      await succeedsOrIsOver(cluster);
      await expectAllMoved(running, THREE);
    },
    LIMIT_MS,
  );

  test.each([
    ["p0-1", "copying", 5],
    ["p1-1", "switching", 6],
    ["p0-2", "following", 7],
    ["p1-2", "verifying", 14],
    ["n0-1", "verifying", 15],
    ["n1-1", "copying", 8],
    ["n2-1", "switching", 9],
    ["alpha", "switching", 10],
    ["alpha", "switching", 11],
  ])(
    "%s is killed while the tool is %s (seed %i): nothing acknowledged is lost",
    async (name, phase, seed) => {
      const running = await startUnderWriters(TWO, THREE, seed);
      const { cluster } = running;
      const run = cluster.reshard();
      await atPhase(run, phase, seededRandom(seed).next() * 300);
      const victim = name === "alpha" ? ((await cluster.old.view())?.alpha ?? "m1") : name;
      await cluster.old.kill(victim);
      // The tool waits for a new node, and begins anew when it is back.
      if (name.startsWith("n")) await cluster.startNew();
      const { code } = await run.ended;
      if (code !== 0) await succeedsOrIsOver(cluster);
      await expectAllMoved(running, THREE);
    },
    LIMIT_MS,
  );

  test(
    "an interrupted one leaves the cluster as it was, and its new nodes empty",
    async () => {
      const { cluster, writer } = await startUnderWriters(TWO, THREE, 12);
      const run = cluster.reshard();
      await atPhase(run, "copying", 100);
      run.child.kill("SIGINT");
      expect((await run.ended).code).toBe(130);
      const view = await cluster.old.viewWhere("no record", ({ reshard }) => !reshard);
      expect(view.partitions.map(({ master }) => master)).toEqual(["p0-1", "p1-1"]);
      await writer.stop();
      await writer.check();
      expect([writer.wrong, writer.errors]).toEqual([[], []]);
      // They are checked: without --empty it begins only if they are empty.
      expect(await cluster.reshard("--dry-run").ended).toMatchObject({ code: 0 });
      await succeeds(cluster);
    },
    LIMIT_MS,
  );

  test.each([30, 31])(
    "interrupted in the middle of a switch (seed %i), it says truly which partitions serve",
    async (seed) => {
      const running = await startUnderWriters(TWO, THREE, seed);
      const { cluster } = running;
      const run = cluster.reshard();
      await atPhase(run, "switching", seededRandom(seed).next() * 300);
      run.child.kill("SIGINT");
      const { code, out } = await run.ended;
      const view = await cluster.old.viewWhere("no record", ({ reshard }) => !reshard);
      expect(view.partitions.length).toBe(code === 0 ? 3 : 2);
      expect(out.includes("the new partitions serve")).toBe(code === 0);
      if (code !== 0) await succeeds(cluster);
      await expectAllMoved(running, THREE);
    },
    LIMIT_MS,
  );
});

/** Nobody may know whether the last step was chosen; then the view does. */
async function succeedsOrIsOver(cluster: ReshardCluster): Promise<void> {
  const isOver = async (): Promise<boolean> =>
    (await cluster.old.view())?.partitions.length === THREE.partitions;
  if (await isOver()) return;
  try {
    await succeeds(cluster);
  } catch (error) {
    if (!(await isOver())) throw error;
  }
}
