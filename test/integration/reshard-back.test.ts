// reshard-back.test.ts: the way back after a resharding, on real processes under writers that count every write.
import { describe, expect, onTestFinished, test } from "vitest";
import { builtinRouting } from "../../runtime/core/routing.ts";
import type { View } from "../../runtime/core/view.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { CountedWriter } from "../support/counted-writer.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { ReshardCluster, type RunningReshard } from "../support/reshard-cluster.ts";

const LINES = ["ack-replicas 1", "redis repl-backlog-size 64mb"];
const LIMIT_MS = 240_000;

interface Kept {
  readonly cluster: ReshardCluster;
  readonly writer: CountedWriter;
  readonly run: RunningReshard;
}

/** Two partitions have become three, under writers, and the way back is kept. */
async function startKept(seed: number, ...more: readonly string[]): Promise<Kept> {
  const cluster = await ReshardCluster.start(
    { partitions: 2, lines: [] },
    { partitions: 3, lines: [] },
    LINES,
  );
  onTestFinished(() => cluster.remove());
  const writer = new CountedWriter(cluster.port("r1"), 3, seed);
  onTestFinished(() => writer.stop());
  await until("the writers write", () => writer.acknowledged > 300);
  const run = cluster.reshard("--way-back", "5m", ...more);
  onTestFinished(() => {
    run.child.kill("SIGKILL");
  });
  await until("it is kept", () => isOver(run) || run.lines().includes("keeping: "), 120_000);
  expect(run.child.exitCode, run.lines()).toBe(null);
  return { cluster, writer, run };
}

const isOver = ({ child }: RunningReshard): boolean => child.exitCode !== null;

async function writesOn(writer: CountedWriter): Promise<void> {
  const before = writer.acknowledged;
  await until("the writers write on", () => writer.acknowledged > before + 300, 60_000);
}

/** Every acknowledged write is where so many partitions have it, and nothing else is there. */
async function expectAll({ cluster, writer }: Kept, partitions: number): Promise<void> {
  await writesOn(writer);
  await writer.stop();
  const written = await writer.check();
  expect(writer.wrong).toEqual([]);
  const routing = builtinRouting({ hash: "crc32", partitions });
  const keys = await cluster.keysOfPartitions();
  expect(keys.length).toBe(partitions);
  expect(keys.flat().toSorted()).toEqual([...written].toSorted());
  for (const [index, own] of keys.entries()) {
    expect(own.every((key) => routing.partitionOf(Buffer.from(key)) === index)).toBe(true);
  }
}

async function askOld(cluster: ReshardCluster, name: string, ...words: [string, ...string[]]) {
  const link = await openRedisLink(
    { host: "127.0.0.1", port: cluster.port(name) },
    { connectTimeoutMs: 5000, commandTimeoutMs: 15_000 },
  );
  try {
    return await link.call(...words);
  } catch (error) {
    return String(error);
  } finally {
    link.close();
  }
}

const isBack = ({ partitions, reshard }: View): boolean => partitions.length === 2 && !reshard;

describe.skipIf(isMissing("redis-server"))("the way back of twine-reshard", () => {
  test(
    "--back: the old partitions serve again, with every write of before and after",
    async () => {
      const kept = await startKept(40);
      const { cluster, writer, run } = kept;
      await writesOn(writer);
      await until("nobody else may write", async () =>
        JSON.stringify(await askOld(cluster, "p0-1", "SET", "mine", "1")).includes("NOPERM"),
      );
      const back = cluster.reshard("--back");
      expect(await back.ended).toMatchObject({ code: 0, out: "the old partitions serve again\n" });
      const { code, out } = await run.ended;
      expect([code, out]).toEqual([3, expect.stringContaining("the old partitions serve again")]);
      const view = await cluster.old.viewWhere("OK", (seen) => isBack(seen) && seen.state === "OK");
      expect(view.partitions.map(({ master }) => master)).toEqual(["p0-1", "p1-1"]);
      await expectAll(kept, 2);
      expect(writer.errors).toEqual([]);
      // And forward once more.
      const again = cluster.reshard("--empty");
      expect((await again.ended).code, again.lines()).toBe(0);
      expect((await cluster.keysOfPartitions()).length).toBe(3);
    },
    LIMIT_MS,
  );

  test(
    "the tool is killed: the new partitions serve on, and there is no way back any more",
    async () => {
      const kept = await startKept(41);
      const { cluster, run } = kept;
      run.child.kill("SIGKILL");
      await cluster.old.viewWhere("no record", ({ reshard }) => !reshard);
      const back = cluster.reshard("--back");
      expect((await back.ended).code).toBe(1);
      expect(back.lines()).toContain("there is no way back to the partitions from before");
      await expectAll(kept, 3);
      expect(kept.writer.errors).toEqual([]);
    },
    LIMIT_MS,
  );

  test(
    "a new master dies meanwhile: its replica takes over, and --back loses nothing",
    async () => {
      const kept = await startKept(42);
      const { cluster, writer, run } = kept;
      await cluster.old.kill("n1-1");
      await cluster.old.viewWhere("failed over", (view) => view.partitions[1]?.master === "n1-2");
      await writesOn(writer);
      const back = cluster.reshard("--back");
      expect((await back.ended).code, `${back.lines()}${run.lines()}`).toBe(0);
      expect((await run.ended).code).toBe(3);
      await expectAll(kept, 2);
    },
    LIMIT_MS,
  );

  test(
    "an old master dies: the way back ends, and says so",
    async () => {
      const kept = await startKept(43);
      const { cluster, run } = kept;
      await cluster.old.kill("p1-1");
      const { code, out } = await run.ended;
      expect([code, out]).toEqual([0, expect.stringContaining("the way back could not be kept")]);
      await expectAll(kept, 3);
      expect(kept.writer.errors).toEqual([]);
    },
    LIMIT_MS,
  );

  test(
    "Ctrl-C ends it: the old nodes are detached, with their rights of before",
    async () => {
      const kept = await startKept(44);
      const { cluster, run } = kept;
      run.child.kill("SIGINT");
      const { code, out } = await run.ended;
      expect([code, out]).toEqual([0, expect.stringContaining("the way back has ended")]);
      const view = await cluster.old.viewWhere("no record", ({ reshard }) => !reshard);
      expect(view.partitions.length).toBe(3);
      const role = (await askOld(cluster, "p0-1", "ROLE")) as unknown[];
      expect(role.slice(0, 3)).toEqual(["slave", "127.0.0.1", 1]);
      expect(JSON.stringify(await askOld(cluster, "p0-1", "SET", "mine", "1"))).not.toContain(
        "NOPERM",
      );
      await expectAll(kept, 3);
    },
    LIMIT_MS,
  );
});
