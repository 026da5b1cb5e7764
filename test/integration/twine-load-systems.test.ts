// twine-load of other systems than one Redis: a Sentinel set that fails over, a real nutcracker pool with keys on wrong servers,
// a Redis Cluster; and of other versions than the cluster's.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { parseDistribution } from "../../runtime/core/hash/distribution.ts";
import { builtinPlace } from "../../runtime/core/routing.ts";
import { cleanUpAfterAll } from "../support/clean-up.ts";
import { clusterConf, byLetter } from "../support/cluster-conf.ts";
import { FaultCluster } from "../support/fault-cluster.ts";
import { askForeign, startNutcracker, startSentinelProgram } from "../support/foreign-stack.ts";
import { startedCluster } from "../support/one-partition.ts";
import { isMissing } from "../support/programs.ts";
import { callOnce, SLOT_RANGES, startRedisCluster } from "../support/redis-cluster.ts";
import { startRedis, until, type TestRedis } from "../support/redis-server.ts";
import { SourceWriter, startLoad } from "../support/running-load.ts";
import { runTool } from "../support/run-tool.ts";
import { folderOf, putFirstOnPath, SERVERS } from "../support/server-matrix.ts";

const SETTINGS = ["repl-diskless-sync-delay 0", "repl-backlog-size 64mb"];
const CUTOVER = ["--cutover", "--until", "1s"];
const READY = "the cluster has all keys and follows each write";
const SWITCH = "the application may switch to this cluster";
const WITHIN_MS = 600_000;

function folderOfServer(wanted: string): string | undefined {
  const server = SERVERS.find(({ name }) => name === wanted);
  return server === undefined ? undefined : folderOf(server);
}

const shape = { partitions: 2, nodesPerPartition: 1, routers: 1, nameOf: byLetter } as const;
const CONF = clusterConf({ ...shape, lines: ["partitions 2", "cluster loaded"] });

describe.skipIf(isMissing("redis-server"))("twine-load of other systems", () => {
  const cleanUp = cleanUpAfterAll();
  let cluster: FaultCluster | undefined;
  let file = "";

  beforeEach(async () => {
    if (cluster === undefined) {
      const made = await FaultCluster.create(CONF);
      cluster = made;
      cleanUp(() => made.remove());
      await made.start();
      ({ file } = made.config);
    }
    for (const name of ["a1", "b1"]) await cluster.ask(name, "FLUSHALL");
  });

  const inCluster = async (...words: string[]): Promise<string | undefined> =>
    (await askForeign(cluster?.port("r1") ?? 0, [words]))[0];

  async function expectSame(url: string): Promise<void> {
    const same = await runTool("runtime", "twine-verify", file, url, file);
    expect([same.out, same.code], same.err).toEqual([
      expect.stringMatching(/^the same: \d+ keys/),
      0,
    ]);
  }

  test(
    "a Sentinel set that fails over in the middle: it goes on with the new master",
    async () => {
      const master = await startRedis(SETTINGS);
      const replica = await startRedis([...SETTINGS, `replicaof 127.0.0.1 ${master.port}`]);
      await until("the replica is in touch", async () =>
        ((await callOnce(replica, "INFO", "replication")) as string).includes(
          "master_link_status:up",
        ),
      );
      const sentinel = await startSentinelProgram([{ name: "main", port: master.port }], cleanUp);
      // A busy machine must not make it fail over before its time.
      const downAfter = (ms: string) =>
        askForeign(sentinel.port, [["SENTINEL", "SET", "main", "down-after-milliseconds", ms]]);
      await downAfter("60000");
      const writer = new SourceWriter(master.port);
      await writer.writes(20);
      const url = `sentinel://127.0.0.1:${sentinel.port}/main`;
      const wrong = await startLoad(file, [url.replace("main", "other"), "--once"]).ended;
      expect([wrong.code, wrong.err]).toEqual([1, expect.stringMatching(/does not know other/)]);

      const live = startLoad(file, [url, ...CUTOVER]);
      await live.says(READY);
      await until("the Sentinel knows the replica", async () =>
        ((await askForeign(sentinel.port, [["INFO", "sentinel"]]))[0] ?? "").includes("slaves=1"),
      );
      await writer.writes(20);
      await master.kill();
      await downAfter("1000");
      await until(
        "Sentinel has promoted the replica",
        async () =>
          ((await callOnce(replica, "INFO", "replication")) as string).includes("role:master"),
        120_000,
      );
      writer.moveTo(replica.port);
      await writer.writes(50);
      await writer.stop();
      await live.says(SWITCH);
      const { code, err } = await live.ended;
      expect([code, err]).toEqual([0, expect.stringContaining("trying again")]);
      // It went on from its mark.
      expect(err).not.toContain("copied again");
      await expectSame(`redis://127.0.0.1:${replica.port}`);
    },
    WITHIN_MS,
  );

  test(
    "a Redis Cluster of three masters while clients write to each",
    async () => {
      const masters = await startRedisCluster(["repl-backlog-size 64mb"]);
      const distribution = parseDistribution(["slots", ...SLOT_RANGES]);
      if (typeof distribution === "string") throw new Error(distribution);
      const hashing = { hash: "crc16", hashTag: "{}", partitions: 3, distribution } as const;
      const homeOf = builtinPlace(hashing);
      const writers = masters.map(
        ({ port }, at) => new SourceWriter(port, [], (key) => homeOf(Buffer.from(key)) === at),
      );
      for (const writer of writers) await writer.writes(20);
      const url = `cluster://127.0.0.1:${masters[2]?.port ?? 0}`;
      const single = await startLoad(file, [url.replace("cluster:", "redis:")]).ended;
      expect([single.code, single.err]).toEqual([1, expect.stringMatching(/write cluster:/)]);
      const live = startLoad(file, [url, ...CUTOVER]);
      await live.says(READY);
      for (const writer of writers) await writer.writes(20);
      for (const writer of writers) await writer.stop();
      await live.says(SWITCH);
      const { code, err } = await live.ended;
      expect(code, err).toBe(0);
      await expectSame(url);
    },
    WITHIN_MS,
  );

  test.skipIf(isMissing("nutcracker"))(
    "a nutcracker pool with keys on wrong servers: refused, left out, or taken by the rule",
    async () => {
      const servers = await Promise.all([startRedis(SETTINGS), startRedis(SETTINGS)]);
      const ordered = servers.toSorted((a, b) => String(a.port).localeCompare(String(b.port)));
      const [first, last] = ordered as [TestRedis, TestRedis];
      const proxy = await startNutcracker(
        [
          ...["hash: murmur", "distribution: ketama", "redis: true", "auto_eject_hosts: true"],
          ...["servers:", ...servers.map(({ port }) => `- 127.0.0.1:${port}:1`)],
        ],
        cleanUp,
      );
      for (let at = 0; at < 200; at++) {
        await askForeign(proxy.port, [["SET", `key:${at}`, String(at)]]);
      }
      const homes: TestRedis[] = [];
      for (const key of ["twice", "lost"]) {
        await askForeign(proxy.port, [["SET", key, "at home"]]);
        const home = (await callOnce(first, "GET", key)) === null ? last : first;
        await callOnce(home === first ? last : first, "SET", key, "elsewhere");
        homes.push(home);
      }
      await callOnce(homes[1] ?? first, "DEL", "lost");

      const refused = await startLoad(file, [proxy.file, "--once"]).ended;
      expect([refused.code, refused.err]).toEqual([
        1,
        expect.stringMatching(/1 keys are on more than one server, and 1 only on[^]*--duplicates/),
      ]);
      const writer = new SourceWriter(proxy.port, [], (key) => !key.startsWith("stream:"));
      await writer.writes(10);
      const live = startLoad(file, [proxy.file, "--duplicates", "home", ...CUTOVER]);
      await live.says(READY);
      await writer.writes(20);
      await writer.stop();
      await live.says(SWITCH);
      const { code, out, err } = await live.ended;
      expect([code, out], err).toEqual([0, expect.stringContaining("2 copies were left out")]);
      expect(err).toMatch(/^the same: \d+ keys/m);
      expect(await inCluster("GET", "twice")).toBe("at home");
      expect(await inCluster("EXISTS", "lost")).toBe("");

      for (const [rule, server] of [
        ["first", first],
        ["last", last],
      ] as const) {
        const ran = await startLoad(file, [
          ...[proxy.file, "--once", "--replace", "--duplicates", rule],
        ]).ended;
        expect(ran.code, ran.err).toBe(0);
        expect(await inCluster("GET", "twice")).toBe(await callOnce(server, "GET", "twice"));
        expect(await inCluster("GET", "lost")).toBe("elsewhere");
      }

      const random = join(file, "..", "random.yml");
      const text = await readFile(proxy.file, "utf8");
      await writeFile(random, text.replace("distribution: ketama", "distribution: random"));
      const endless = await startLoad(file, [random, "--replace", "--duplicates", "last"]).ended;
      expect([endless.code, endless.err]).toEqual([1, expect.stringMatching(/random[^]*--once/)]);
      const once = ["--once", "--replace", "--duplicates", "first"];
      const ran = await startLoad(file, [random, ...once]).ended;
      expect(ran.code, ran.err).toBe(0);
      expect(await inCluster("GET", "twice")).toBe(await callOnce(first, "GET", "twice"));
    },
    WITHIN_MS,
  );

  test(
    "an older Redis is loaded, a newer server is refused before anything is changed",
    async () => {
      for (const [name, isReadable] of [
        ["Redis 6.2", true],
        ["Valkey 8.1", false],
        ["Redis 8.2", false],
      ] as const) {
        const folder = folderOfServer(name);
        if (folder === undefined) continue;
        const source = await startRedis(SETTINGS);
        await source.kill();
        await source.start(join(folder, "redis-server"));
        for (let at = 0; at < 50; at++) await callOnce(source, "HSET", `${name}:${at}`, "f", "1");
        const ran = await startLoad(file, [
          `redis://127.0.0.1:${source.port}`,
          ...["--once", "--merge"],
        ]).ended;
        expect([name, ran.code, ran.err]).toEqual([
          name,
          isReadable ? 0 : 1,
          expect.stringContaining(isReadable ? "the same: 50 keys" : "in a newer format than"),
        ]);
      }
    },
    WITHIN_MS,
  );
});

test.skipIf(isMissing("redis-server"))(
  "a Redis into a cluster of Valkey 9, and Valkey 9 into it",
  async () => {
    const redis = await startRedis(SETTINGS);
    putFirstOnPath(folderOfServer("Valkey 9.1"));
    const valkey = await startRedis(SETTINGS);
    const cluster = await startedCluster(CONF);
    for (const [at, server] of [redis, valkey].entries()) {
      const writer = new SourceWriter(server.port);
      await writer.writes(20);
      const url = `redis://127.0.0.1:${server.port}`;
      const live = startLoad(cluster.config.file, [
        url,
        ...CUTOVER,
        ...(at === 0 ? [] : ["--replace"]),
      ]);
      await live.says(READY);
      await writer.writes(20);
      await writer.stop();
      await live.says(SWITCH);
      const { code, err } = await live.ended;
      expect([code, err]).toEqual([0, expect.stringMatching(/^the same: \d+ keys/m)]);
    }
  },
  WITHIN_MS,
);
