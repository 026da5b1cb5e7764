// seeds-walk-shards.test.ts: the documents about Red Cluster and about twemproxy with Sentinel, each from its first line to its
// last; see seeds-walk.test.ts.
import { readFile, writeFile } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { RedCluster } from "../../runtime/client/red/red-cluster.ts";
import { isMissing } from "../support/programs.ts";
import { startRedis, until, type TestRedis } from "../support/redis-server.ts";
import { seedSession, type SeedSession } from "../support/seed-session.ts";

const LONG_MS = 600_000;

async function replicaSet(): Promise<TestRedis[]> {
  const master = await startRedis(["repl-diskless-sync-delay 0"]);
  const follow = [`replicaof 127.0.0.1 ${master.port}`, "repl-diskless-sync-delay 0"];
  return [master, await startRedis(follow), await startRedis(follow)];
}

test.skipIf(isMissing("redis-server"))(
  "Red Cluster: its setup, routing, the death of a master, and an AOF",
  async () => {
    const sets = [await replicaSet(), await replicaSet(), await replicaSet()];
    const place = (server: TestRedis | undefined): { host: string; port: number } => ({
      host: "localhost",
      port: server?.port ?? 0,
    });
    const replicaSets = sets.map(([master, ...replicas]) => ({
      master: place(master),
      replicas: replicas.map(place),
    }));
    const red = new RedCluster(replicaSets);
    onTestFinished(() => {
      red.disconnect();
    });
    await red.ready();
    expect(await red.set("foo", "bar")).toBe("OK");
    expect(await red.incr("user_count")).toBe(1);

    // The crc32 of the key names the set, its master takes the write, its replicas answer the reads.
    const owner = sets[crc32("foo") % 3] ?? [];
    const infoOf = async (server: TestRedis | undefined, section: string): Promise<string> => {
      const info = await (await server?.link())?.call("INFO", section);
      return typeof info === "string" ? info : "";
    };
    const statsOf = (server: TestRedis | undefined): Promise<string> =>
      infoOf(server, "commandstats");
    expect(await statsOf(owner[0])).toMatch(/cmdstat_set:/);
    const isRead = async (server: TestRedis | undefined): Promise<boolean> =>
      /cmdstat_get:/.test(await statsOf(server));
    await until("both replicas answer reads", async () => {
      const isThere = (await red.get("foo")) === "bar";
      return isThere && (await isRead(owner[1])) && (await isRead(owner[2]));
    });

    // It heals itself: a replica is promoted, the other follows it.
    const before = red.masters[crc32("foo") % 3];
    await owner[0]?.kill();
    await until("it takes writes again", () =>
      red.set("foo", "healed").then(
        () => true,
        () => false,
      ),
    );
    expect(red.masters[crc32("foo") % 3]).not.toBe(before);
    const roles = await Promise.all(
      owner.slice(1).map(async (server) => {
        const role = await (await server.link()).call("ROLE");
        return Array.isArray(role) ? String(role[0]) : "";
      }),
    );
    expect(roles).toContain("master");
    await until("the other follows", async () => {
      const infos = await Promise.all(
        owner.slice(1).map((server) => infoOf(server, "replication")),
      );
      return infos.some((info) => /role:slave[^]*master_link_status:up/.test(info));
    });

    // An existing append only file.
    const session = await seedSession("a1=data 0 {a1} 0\ns1=status {s1} 0\nm1=monitor {m1}\n");
    const file = `${session.folder}/old.aof`;
    const command = (...words: string[]): string =>
      `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join("")}`;
    await writeFile(file, command("SELECT", "0") + command("SET", "old", "data"));
    expect(await red.loadAofFile(file)).toMatchObject({ commands: 1 });
    await until("it can be read", async () => (await red.get("old")) === "data");
  },
  LONG_MS,
);

const NODES = ["s1_1", "s1_2", "s1_3", "s2_1", "s2_2", "s2_3"];

/** The shipped example, on free ports. */
async function shards(more = ""): Promise<SeedSession> {
  const url = new URL("../../examples/twemproxy-sentinel.conf", import.meta.url);
  const conf = (await readFile(url, "utf8"))
    .replace(/^s(\d)_(\d)=data (\d) \d+ 0$/gm, "s$1_$2=data $3 {s$1-$2} 0")
    .replace("sentinel=monitor 26379", "sentinel=monitor {sentinel}")
    .replace("nutcracker=router 6379 22222", "nutcracker=router {nutcracker} {stats}");
  return seedSession(`${conf}${more}`);
}

const YES = String.raw`\t127\.0\.0\.1 \d+ : YES\n`;
const STATUS = new RegExp(
  `^Redis sentinel running :\n${YES}\\d+ port running :\n${YES}` +
    [1, 2]
      .map(
        (shard) =>
          `Shard ${shard} master running :\n${YES}Shard ${shard} slaves running :\n${YES}${YES}`,
      )
      .join("") +
    "$",
);

describe.skipIf(isMissing("redis-server", "redis-cli", "nutcracker", "redis-benchmark"))(
  "twemproxy with Sentinel",
  () => {
    test(
      "install, services in their order, data, status, the steps of a failover, benchmark, stop",
      async () => {
        const session = await shards();
        const { type } = session;
        expect(await type("twine-install")).toMatch(/-server [^]*\/nutcracker\n$/);
        await type("twine-setup");
        // Run services: the nodes one by one, then Sentinel and twemproxy.
        for (const node of [...NODES, "sentinel", "nutcracker"]) await type(`twine-start ${node}`);
        await session.untilPrints("twine-check --status", STATUS);
        expect(await type("twine-check --load")).toBe("Data loaded\n");
        expect(await type("twine-check --verify")).toBe("Redis OK (1000 items all existed)\n");

        // 1) A is master, B is slave … 6) twemproxy points to B.
        const yml = "partitions/localhost/nutcracker/nutcracker.yml";
        const first = `127.0.0.1:${session.port("s1_1")}:1`;
        expect(await type(`cat ${yml}`)).toContain(first);
        await session.kill("s1_1");
        await session.untilPrints(
          `cat ${yml}`,
          new RegExp(`:(${session.port("s1_2")}|${session.port("s1_3")}):1`),
        );
        await session.untilPrints("twine-check --verify", /1000 items all existed/);
        expect(await type(`cat ${yml}`)).not.toContain(first);
        await type("twine-start s1_1");
        await session.untilPrints("twine-check --status", STATUS);

        // Benchmark with pipelining, through twemproxy and direct.
        const tests = "set,get,incr,lpush,lpop,sadd,spop,lpush,lrange";
        for (const node of ["nutcracker", "s2_1"]) {
          const out = await type(
            `redis-benchmark -q -n 2000 -t ${tests} -c 100 -P 16 -p {${node}}`,
          );
          for (const row of [
            "SET",
            "GET",
            "INCR",
            "LPUSH",
            "LPOP",
            "SADD",
            "SPOP",
            "LRANGE_100",
            "LRANGE_600",
          ]) {
            expect(out).toMatch(new RegExp(`^${row}\\b[^:\\n]*: \\d+`, "m"));
          }
        }

        // Stop services, twemproxy first. Without Sentinel nobody can take over: --force, as it is wanted.
        for (const node of ["nutcracker", "sentinel"]) await type(`twine-stop ${node}`);
        for (const node of NODES) await type(`twine-stop ${node} --force`);
        // Manual run and manual stop.
        await type("twine-up");
        await session.untilPrints("twine-check --status", STATUS);
        await type("twine-stop");
        expect((await session.sh("twine-check --status")).code).toBe(3);
      },
      LONG_MS,
    );

    test(
      "in service mode only the staging file is written, and a watcher restarts twemproxy",
      async () => {
        const session = await shards("twemproxy-staging staging.yml\n");
        const { type } = session;
        await type("twine-up");
        await session.kill("s2_1");
        await session.untilPrints(
          "cat staging.yml",
          new RegExp(`:(${session.port("s2_2")}|${session.port("s2_3")}):1`),
        );
        await session.untilPrints("twine-check --load", /Data loaded/);
        await type("twine-stop");
      },
      LONG_MS,
    );
  },
);
