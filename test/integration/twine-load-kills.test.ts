// twine-load while it, the source's master, its replica, a master of the cluster, the alpha or the router is killed at seeded
// moments. A client writes to the source throughout, mostly commands that must not be executed twice. At the end every key has
// the source's value in the cluster, and every write that the source acknowledged is there.
// TWINE_FAULT_POINTS=30 kills at 30 moments of each; TWINE_FAULT_SEED chooses others.
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { beforeAll, describe, expect, test } from "vitest";
import type { View } from "../../runtime/core/view.ts";
import { cleanUpAfterAll } from "../support/clean-up.ts";
import { byLetter, clusterConf } from "../support/cluster-conf.ts";
import { FaultCluster } from "../support/fault-cluster.ts";
import { askForeign } from "../support/foreign-stack.ts";
import { isMissing } from "../support/programs.ts";
import { callOnce } from "../support/redis-cluster.ts";
import { startRedis, until, type TestRedis } from "../support/redis-server.ts";
import { SourceWriter, startLoad, type RunningLoad } from "../support/running-load.ts";
import { runTool } from "../support/run-tool.ts";
import { seededRandom } from "../support/seeded-random.ts";

const POINTS = Number(process.env["TWINE_FAULT_POINTS"] ?? 1);
const SEED = Number(process.env["TWINE_FAULT_SEED"] ?? 15);
const WITHIN_MS = 180_000;
const TEST_MS = 300_000 + POINTS * 180_000;
const SETTINGS = ["repl-diskless-sync-delay 0", "repl-backlog-size 64mb", "appendonly yes"];
const KEYS = 30_000;
const FILL =
  "for i = 1, tonumber(ARGV[1]) do redis.call('SET', 'base:' .. i, string.rep(i, 20)) end";
const SWITCH = "the application may switch to this cluster";
const AGAIN = "run the same command again";
const IN_USE = "the application may use the cluster already";

/** What it says just before a moment. */
const MOMENTS = ["", "copying:", "following:", "the cluster has all keys"] as const;

describe.skipIf(isMissing("redis-server"))("twine-load, and a kill -9", () => {
  const cleanUp = cleanUpAfterAll();
  const random = seededRandom(SEED);
  let cluster: FaultCluster;
  let source: TestRedis;
  let replica: TestRedis;
  let url = "";

  beforeAll(async () => {
    cluster = await FaultCluster.create(
      clusterConf({
        ...{ partitions: 2, nodesPerPartition: 2, routers: 1, nameOf: byLetter },
        lines: ["cluster loaded", "partitions 2", "redis appendonly yes"],
      }),
    );
    cleanUp(() => cluster.remove());
    await cluster.start();
    source = await startRedis(SETTINGS, cleanUp);
    replica = await startRedis([...SETTINGS, `replicaof 127.0.0.1 ${source.port}`], cleanUp);
    await callOnce(source, "EVAL", FILL, "0", String(KEYS));
    url = `redis://127.0.0.1:${source.port}`;
  }, WITHIN_MS);

  const restarted = async (server: TestRedis): Promise<void> => {
    await server.kill();
    await server.start();
  };
  const ofCluster = async (name: string): Promise<void> => {
    await cluster.kill(name);
    await cluster.heal();
  };
  const victims: Readonly<Record<string, (live: RunningLoad) => Promise<void>>> = {
    "the tool itself": async (live) => {
      live.child.kill("SIGKILL");
      await live.ended;
    },
    "the source's master": () => restarted(source),
    "the source's replica": () => restarted(replica),
    "a master of the cluster": async () => {
      await ofCluster((await cluster.partition(0)).master ?? "");
    },
    "the alpha": async () => {
      await ofCluster((await cluster.view())?.alpha ?? "");
    },
    "the router": () => ofCluster("r1"),
  };

  test.each(Object.entries(victims))(
    "%s: nothing is lost, nothing is stale",
    async (_name, kill) => {
      for (let point = 0; point < POINTS; point++) {
        await ready();
        await onePoint(kill, MOMENTS[Math.floor(random.next() * MOMENTS.length)] ?? "");
      }
    },
    TEST_MS,
  );

  async function onePoint(kill: (live: RunningLoad) => Promise<void>, says: string): Promise<void> {
    const checkpoint = join(cluster.folder, "load.json");
    await rm(checkpoint, { force: true });
    const args = [url, "--checkpoint", checkpoint, "--no-verify", "--cutover", "--until", "1s"];
    const waitMs = random.next() * 1_000;
    const at = `seed ${SEED}, ${waitMs.toFixed(0)} ms after '${says}'`;
    const writer = new SourceWriter(source.port);
    try {
      await writer.writes(5);
      const live = startLoad(cluster.config.file, args);
      if (says !== "") await live.says(says);
      await delay(waitMs);
      await kill(live);
      await writer.writes(20);
      await writer.stop();
      const { code, err } = await endOf(live, args);
      expect([code, err], at).toEqual([0, expect.stringContaining(SWITCH)]);
    } finally {
      await writer.stop();
    }
    const same = await runTool(
      "runtime",
      "twine-verify",
      cluster.config.file,
      url,
      cluster.config.file,
    );
    expect([same.out, same.code], `${at}\n${same.err}`).toEqual([
      expect.stringMatching(/^the same: \d+ keys/),
      0,
    ]);
    expect(Number(/\d+/.exec(same.out)?.[0]), at).toBeGreaterThan(KEYS);
    const { acknowledged } = writer;
    const asked = acknowledged.map((key) => ["GET", key]);
    expect(await askForeign(cluster.port("r1"), asked), at).toEqual(
      acknowledged.map((key) => key.replace("once:", "")),
    );
  }

  /** Killed itself, it goes on from the checkpoint. What it says when it can't go on is done, and it is begun again. */
  async function endOf(live: RunningLoad, args: readonly string[]) {
    const again = () => startLoad(cluster.config.file, args).ended;
    let ran = await live.ended;
    if (live.child.signalCode !== null) {
      // Without a checkpoint the cluster holds nothing of it.
      if (!existsSync(join(cluster.folder, "load.json"))) expect(await keysOf()).toBe(0);
      ran = await again();
    }
    for (let times = 0; times < 2 && ran.code === 1; times++) {
      if (ran.err.includes(IN_USE)) await emptied();
      else if (!ran.err.includes(AGAIN)) return ran;
      ran = await again();
    }
    return ran;
  }

  async function ready(): Promise<void> {
    const isWell = ({ state, nodes }: View): boolean =>
      state === "OK" && nodes.every(({ kind, inSync }) => kind !== "data" || inSync);
    await cluster.viewWhere("everything is in sync", isWell, WITHIN_MS);
    await emptied();
    await until(
      "the source's replica is in touch",
      async () =>
        ((await callOnce(replica, "INFO", "replication")) as string).includes(
          "master_link_status:up",
        ),
      WITHIN_MS,
    );
  }

  async function masters(): Promise<string[]> {
    return ((await cluster.view())?.partitions ?? []).map(({ master }) => master ?? "");
  }

  async function emptied(): Promise<void> {
    for (const name of await masters()) await cluster.ask(name, "FLUSHALL");
  }

  async function keysOf(): Promise<number> {
    let sum = 0;
    for (const name of await masters()) sum += Number(await cluster.ask(name, "DBSIZE"));
    return sum;
  }
});
