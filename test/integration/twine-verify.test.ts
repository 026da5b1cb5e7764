// twine-verify: servers of several versions with the same data in other encodings; each kind of difference; a cluster of
// Twine's beside one Redis, a Redis Cluster and its own backup.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Side } from "../../runtime/move/verify/read-side.ts";
import { verify, type Verified } from "../../runtime/move/verify/verify.ts";
import { systemClock as clock } from "../../runtime/ports/clock.ts";
import { openRdbStream } from "../../runtime/replication/rdb-stream.ts";
import type { ScratchServer } from "../../runtime/replication/scratch-server.ts";
import { startedCluster, twoPartitions } from "../support/one-partition.ts";
import { isMissing } from "../support/programs.ts";
import { fill, rdbOf, serverWith } from "../support/rdb-content.ts";
import { rdbServers } from "../support/rdb-servers.ts";
import { startRedis, until, type TestRedis } from "../support/redis-server.ts";
import { runTool } from "../support/run-tool.ts";

function side(name: string, ...servers: readonly ScratchServer[]): Side {
  const { signal } = new AbortController();
  const streams = servers.map(({ path }) => ({
    ...{ name: path, db: 0 },
    open: () => openRdbStream({ path }, { credentials: undefined, signal }).chunks(),
  }));
  return { name, streams };
}

async function compared(
  source: Side,
  target: Side,
  passes = 2,
  program?: string,
): Promise<Verified> {
  const folder = await mkdtemp(join(tmpdir(), "twine-verify-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const { signal } = new AbortController();
  return verify({ source, target, passes, folder, clock, signal, program });
}

const NOTHING = { missing: 0, extra: 0, differs: 0, "twice in source": 0, "twice in target": 0 };

describe.skipIf(isMissing("redis-server"))("what is the same", () => {
  test.each(rdbServers().filter(({ program }) => program !== undefined))(
    "as $name and as this machine's Redis writes it, and each change is found",
    async ({ program, hasFieldExpiry, name }) => {
      const old = await serverWith(program);
      const keys = await fill(old, false);
      // A newer RDB is none for this machine's server: there the data go back to a server of the same version.
      const isNewer = hasFieldExpiry || name.startsWith("Valkey");
      const newer = isNewer ? program : undefined;
      const own = await serverWith(newer, await rdbOf(old));
      const same = await compared(side("old", old), side("own", own), 2, newer);
      expect(same).toMatchObject({ isSame: true, counts: NOTHING, sourceKeys: keys });

      await own.call("SET", "text", "another value");
      await own.call("PEXPIRE", "expires", "5000000");
      await own.call("DEL", "list");
      await own.call("SET", "new", "1");
      await own.call("XACK", "stream", "group", await firstId(own));
      await own.call("SELECT", "3");
      await own.call("SET", "text", "another value there");
      const other = await compared(side("old", old), side("own", own), 2, newer);
      expect(other.isSame).toBe(false);
      expect(other.counts).toEqual({ ...NOTHING, missing: 1, extra: 1, differs: 4 });
      const found = other.differences.map(({ kind, db, key }) => `${kind} ${db} ${key}`);
      expect(found.toSorted()).toEqual([
        "differs 0 expires",
        "differs 0 stream",
        "differs 0 text",
        "differs 3 text",
        "extra 0 new",
        "missing 0 list",
      ]);
    },
  );

  test("keys that lie on two servers of a side, and functions of one side, are named", async () => {
    const [one, two, all] = [
      await serverWith(undefined),
      await serverWith(undefined),
      await serverWith(undefined),
    ];
    for (const server of [one, all]) await server.call("SET", "a", "1");
    for (const server of [two, all]) await server.call("SET", "b", "2");
    expect((await compared(side("two servers", one, two), side("one", all))).isSame).toBe(true);
    await two.call("SET", "a", "1");
    await all.call(
      "FUNCTION",
      "LOAD",
      "#!lua name=only\nredis.register_function('f', function() end)",
    );
    const found = await compared(side("two servers", one, two), side("one", all));
    expect(found.counts).toEqual({ ...NOTHING, "twice in source": 1 });
    expect([found.librariesOfSource, found.librariesOfTarget]).toEqual([[], ["only"]]);
  });

  test("what is written while both are read, and is the same in the end, is no difference", async () => {
    const [one, other] = [await serverWith(undefined), await serverWith(undefined)];
    const over = new AbortController();
    const writing = (async () => {
      for (let at = 0; !over.signal.aborted; at++) {
        for (const server of [one, other]) await server.call("SET", `key ${at % 50}`, `${at}`);
      }
    })();
    const sides = [side("one", one), side("other", other)] as const;
    const first = sides[0].streams[0];
    let passes = 0;
    const counted: Side = {
      ...sides[0],
      streams: [
        {
          ...{ name: "one", db: 0 },
          open: () => {
            // From the fourth look on nobody writes.
            if (++passes === 4) over.abort();
            if (first === undefined) throw new Error("one server, one stream");
            return first.open();
          },
        },
      ],
    };
    const found = await compared(counted, sides[1], 20);
    over.abort();
    await writing;
    expect(found.isSame).toBe(true);
  });
});

async function firstId(server: ScratchServer): Promise<string> {
  const reply = JSON.stringify(
    await server.call("XPENDING", "stream", "group", "-", "+", "1"),
    texts,
  );
  return /\d+-\d+/.exec(reply)?.[0] ?? "";
}

function texts(_: string, value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  if (typeof value !== "object" || value === null || !("type" in value)) return value;
  return "data" in value && Array.isArray(value.data)
    ? Buffer.from(value.data as number[]).toString()
    : value;
}

async function call(server: TestRedis, ...words: [string, ...string[]]): Promise<unknown> {
  const link = await server.link();
  try {
    return await link.call(...words);
  } finally {
    link.close();
  }
}

describe.skipIf(isMissing("redis-server"))("twine-verify", () => {
  test("a cluster beside one Redis, a Redis Cluster, and its own backup", async () => {
    const cluster = await startedCluster(twoPartitions("cluster compared", "backup-dir backups"));
    const { file } = cluster.config;
    // Redis waits 5 s for more replicas before it gives its data.
    const atOnce = "repl-diskless-sync-delay 0";
    const single = await startRedis([atOnce]);
    const sharded = await startRedis(["cluster-enabled yes", atOnce]);
    await call(sharded, "CLUSTER", "ADDSLOTSRANGE", "0", "16383");
    await until("the Redis Cluster is well", async () =>
      String(await call(sharded, "CLUSTER", "INFO")).includes("cluster_state:ok"),
    );
    const pairs = Array.from({ length: 200 }, (_, at) => [`key:${at}`, `${at}`]);
    for (const [index, name] of ["a1", "b1"].entries()) {
      const own = pairs.filter(([key = ""]) => crc32(key) % 2 === index);
      await cluster.ask(name, "MSET", ...own.flat());
    }
    await call(single, "MSET", ...pairs.flat());
    for (const pair of pairs) await call(sharded, "SET", ...pair);
    const run = (...args: string[]) => runTool("runtime", "twine-verify", file, ...args);
    const [redis, other] = [
      `redis://127.0.0.1:${single.port}`,
      `cluster://127.0.0.1:${sharded.port}`,
    ];
    for (const target of [redis, other]) {
      const same = await run(target);
      expect([same.code, same.out]).toEqual([0, "the same: 200 keys, compared once\n"]);
    }
    expect((await runTool("runtime", "twine-backup", file)).code).toBe(0);
    expect((await run("--backup", "latest")).out).toBe("the same: 200 keys, compared once\n");

    await call(single, "SET", "key:7", "another");
    await call(single, "DEL", "key:8");
    await call(single, "SET", "an\u001b[31mred", "1");
    const different = await run(redis);
    expect(different.code).toBe(10);
    expect(different.out).toBe(
      "different: 200 keys in the source, 200 in the target, compared 3 times\n" +
        "1 missing in the target: 'key:8'\n" +
        "1 only in the target: 'an?[31mred'\n" +
        "1 with another value or expiry: 'key:7'\n",
    );
    const json = JSON.parse((await run(redis, other, "--json")).out) as Verified;
    expect(json).toMatchObject({ isSame: false, sourceKeys: 200, targetKeys: 200 });

    const wrong = await run();
    expect([wrong.code, wrong.err]).toEqual([
      2,
      expect.stringContaining("there is nothing to compare with"),
    ]);
    expect((await run("redis://:secret@127.0.0.1:1")).err).toContain("TWINE_TARGET_PASSWORD_FILE");
    expect((await run("cluster://127.0.0.1:1")).err).toMatch(
      /^error: .*127\.0\.0\.1:1.*\n {2}remedy: /m,
    );
    expect((await run(`cluster://127.0.0.1:${single.port}`)).err).toContain(
      "is no node of a Redis Cluster",
    );
    const dead = await run("redis://127.0.0.1:1");
    expect(dead.code).toBe(1);
    expect(dead.err).toMatch(
      /^error: 127\.0\.0\.1:1 of redis:\/\/127\.0\.0\.1:1 can't be read: .*\n {2}remedy: /m,
    );
  });
});
