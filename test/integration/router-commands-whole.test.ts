// router-commands-whole.test.ts: commands that mean the whole cluster or that one redis-server can't be compared with: scans
// over masters that change, settings, logs, the router's own part of INFO, and every refusal.
import { beforeAll, describe, expect, test } from "vitest";
import { decodeReply } from "../../runtime/resp/decode.ts";
import { itemsOf, numberOf, textOf, type RespValue } from "../../runtime/resp/value.ts";
import { cleanUpAfterAll } from "../support/clean-up.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { readCommandPage } from "../support/command-page.ts";
import {
  startRouterCluster,
  type RawClient,
  type RouterCluster,
} from "../support/router-cluster.ts";

let cluster: RouterCluster;

async function ask(client: RawClient, command: string): Promise<RespValue> {
  return decodeReply(Buffer.from(await client.call(command), "latin1"));
}

/** All pages of a scan: `pageOf` gives the command for a cursor; `between` runs after the second page. */
async function scanned(
  client: RawClient,
  pageOf: (cursor: string) => string,
  between: () => Promise<void> | void = () => undefined,
): Promise<string[]> {
  const found: string[] = [];
  let cursor = "0";
  let pages = 0;
  do {
    if (++pages === 3) await between();
    const [next, elements] = itemsOf(await ask(client, pageOf(cursor)));
    cursor = textOf(next) ?? "0";
    found.push(...itemsOf(elements).map((element) => textOf(element) ?? ""));
  } while (cursor !== "0");
  expect(pages).toBeGreaterThan(3);
  return found;
}

/** The same servers, each promoted anew. */
function promoteAnew(): void {
  const nodes = cluster.servers.map(({ port }, partition) => ({ port, partition }));
  cluster.view.show(
    nodes,
    nodes.map(({ port }) => port),
  );
}

describe.skipIf(isMissing("redis-server"))("a router's commands on the whole cluster", () => {
  const cleanUp = cleanUpAfterAll();
  beforeAll(async () => {
    const redis = ["slowlog-log-slower-than 0", "slowlog-max-len 50"];
    cluster = await startRouterCluster({ settings: ["hash-tag {}"], redis, cleanUp });
  });

  for (const [name, add] of [
    ["HSCAN", (key: string, n: number) => `HSET ${key} f${n} v`],
    ["SSCAN", (key: string, n: number) => `SADD ${key} f${n}`],
    ["ZSCAN", (key: string, n: number) => `ZADD ${key} ${n} f${n}`],
  ] as const) {
    for (const protocol of [2, 3]) {
      test(`${name} in RESP${protocol} shows every element, also when the master changes half way`, async () => {
        const client = await cluster.client();
        await client.call("FLUSHALL");
        await client.call(`HELLO ${protocol}`);
        const names = Array.from({ length: 700 }, (_, n) => `f${n}`);
        // One key of each partition.
        for (const key of ["a", "b", "user:2"]) {
          for (let n = 0; n < names.length; n++) client.send(`${add(key, n)}\r\n`);
          for (let n = 0; n < names.length; n++) await client.reply();
          for (const between of [undefined, promoteAnew]) {
            const found = await scanned(
              client,
              (cursor) => `${name} ${key} ${cursor} COUNT 50`,
              between,
            );
            const unique = new Set(found.filter((one) => /^f\d+$/.test(one)));
            expect([...unique].sort()).toEqual([...names].sort());
            // Without a change of master each is shown once: nothing was added meanwhile.
            const shown = found.filter((one) => /^f\d+$/.test(one)).length;
            if (between === undefined) expect(shown).toBe(names.length);
            else expect(shown).toBeGreaterThan(names.length);
          }
        }
      });
    }
  }

  test("RANDOMKEY shows each key as often as any other, however unevenly they lie", async () => {
    const client = await cluster.client();
    await client.call("FLUSHALL");
    // 30 keys in one partition, and one in each of the two others.
    for (let n = 0; n < 30; n++) await client.call(`SET {a}${n} 1`);
    await client.call("SET b 1");
    await client.call("SET user:2 1");
    const counts = new Map<string, number>();
    const total = 3200;
    for (let n = 0; n < total; n++) client.send("RANDOMKEY\r\n");
    for (let n = 0; n < total; n++) {
      const key = (await client.reply()).split("\r\n")[1] ?? "";
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    // 100 of each are to be expected, with a deviation of 10; a partition chosen blindly would give b a thousand.
    expect(counts.size).toBe(32);
    expect(Math.max(...counts.values())).toBeLessThan(220);
    expect(Math.min(...counts.values())).toBeGreaterThan(20);
  });

  test("SLOWLOG gathers the entries of all partitions, newest first, each with an id of its own", async () => {
    const client = await cluster.client();
    await client.call("SLOWLOG RESET");
    for (const key of ["a", "b", "user:2"]) await client.call(`SET ${key} slow`);
    const entries = itemsOf(await ask(client, "SLOWLOG GET -1"));
    const of = (entry: RespValue, field: number): RespValue | undefined => itemsOf(entry)[field];
    const sets = entries.filter((entry) => textOf(itemsOf(of(entry, 3))[0]) === "SET");
    expect(sets.map((entry) => textOf(itemsOf(of(entry, 3))[1])).sort()).toEqual([
      "a",
      "b",
      "user:2",
    ]);
    const ids = entries.map((entry) => numberOf(of(entry, 0)));
    expect(new Set(ids).size).toBe(ids.length);
    const times = entries.map((entry) => numberOf(of(entry, 1)) ?? 0);
    expect(times).toEqual([...times].sort((a, b) => b - a));
    expect(itemsOf(await ask(client, "SLOWLOG GET 2"))).toHaveLength(2);
    expect(itemsOf(await ask(client, "SLOWLOG GET")).length).toBeLessThanOrEqual(10);
    expect(numberOf(await ask(client, "SLOWLOG LEN"))).toBeGreaterThan(3);
    expect(await client.call("SLOWLOG GET nonsense")).toMatch(/^-ERR/);
  });

  test("LASTSAVE is the oldest of all partitions, and BGSAVE and BGREWRITEAOF reach every one", async () => {
    const client = await cluster.client();
    const savedAt = async (): Promise<number[]> => {
      const links = await Promise.all(cluster.servers.map((server) => server.link()));
      return Promise.all(links.map(async (link) => Number(await link.call("LASTSAVE"))));
    };
    expect(numberOf(await ask(client, "LASTSAVE"))).toBe(Math.min(...(await savedAt())));
    const saves = async (field: string): Promise<boolean> => {
      const links = await Promise.all(cluster.servers.map((server) => server.link()));
      const infos = await Promise.all(links.map((link) => link.call("INFO", "persistence")));
      const isDone = new RegExp(`${field}:[1-9]`);
      return infos.every((info) => isDone.test(info as string));
    };
    expect(await client.call("BGSAVE")).toBe("+Background saving started\r\n");
    await until("every partition has saved", () => saves("rdb_saves"));
    expect(await client.call("BGREWRITEAOF")).toMatch(/^\+Background append only file rewriting/);
    await until("every partition has rewritten", () => saves("aof_rewrites"));
  });

  test("INFO adds up its nodes, section by section, and says what the router knows in its own", async () => {
    const client = await cluster.client();
    await client.call("FLUSHALL");
    await client.call("MSET a 1 b 2 user:2 3");
    const whole = textOf(await ask(client, "INFO")) ?? "";
    expect(whole).toMatch(
      /\r\n\r\n# Keyspace\r\ndb0:keys=3,expires=0,avg_ttl=0\r\n\r\n# Router\r\n/,
    );
    expect(whole).toMatch(/\r\nrole:master\r\n/);
    const only = textOf(await ask(client, "INFO router")) ?? "";
    expect(only).toMatch(/^# Router\r\ntwine_cluster:test\r\ntwine_state:OK\r\n/);
    expect(only).toMatch(/\r\nrouter_connected_clients:[1-9]\d*\r\nrouter_partitions:3\r\n/);
    for (const [partition, { port }] of cluster.servers.entries()) {
      expect(only).toContain(
        `partition${partition}:master=p${partition}-1,host=localhost,port=${port},db=${partition},replicas=0\r\n`,
      );
    }
    const some = textOf(await ask(client, "INFO keyspace router cpu")) ?? "";
    expect([...some.matchAll(/# (\w+)/g)].map(([, name]) => name)).toEqual([
      "CPU",
      "Keyspace",
      "Router",
    ]);
    expect(textOf(await ask(client, "INFO keyspace"))).not.toContain("# Router");
    expect(textOf(await ask(client, "INFO nonsense"))).toBe("");
    const stats = textOf(await ask(client, "INFO commandstats")) ?? "";
    const calls = /cmdstat_mset:calls=(\d+),usec=\d+,usec_per_call=[\d.]+,/.exec(stats)?.[1];
    expect(Number(calls)).toBeGreaterThanOrEqual(3);
    await client.call("HELLO 3");
    expect(await client.call("INFO router")).toMatch(/^=\d+\r\ntxt:# Router\r\n/);
    expect(await client.call("INFO all")).toMatch(/^=\d+\r\ntxt:# Server\r\n/);
  });

  test("CONFIG GET shows no password, in either protocol", async () => {
    const client = await cluster.client();
    for (const server of cluster.servers) {
      await (await server.link()).call("CONFIG", "SET", "masterauth", "secret");
    }
    for (const protocol of [2, 3]) {
      await client.call(`HELLO ${protocol}`);
      for (const pattern of ["*", "masterauth", "m*"]) {
        const reply = await client.call(`CONFIG GET ${pattern}`);
        expect(reply).toContain("masterauth\r\n$0\r\n\r\n");
        expect(reply).not.toContain("secret");
      }
      expect(await client.call("CONFIG GET maxmemory")).toContain("maxmemory\r\n$1\r\n0\r\n");
    }
  });

  test("SORT with patterns works where a tag in them names one partition, and is refused with that hint elsewhere", async () => {
    const cluster = await startRouterCluster({ partitions: 3, settings: ["hash-tag {}"] });
    const client = await cluster.client();
    for (const tag of ["a", "b", "c", "d", "e", "f"]) {
      expect(await client.call(`RPUSH {${tag}}n 1 2 3`)).toBe(":3\r\n");
      await client.call(`MSET {${tag}}w_1 3 {${tag}}w_2 1 {${tag}}w_3 2`);
      const sort = `SORT {${tag}}n BY {${tag}}w_* GET # GET {${tag}}w_*`;
      const sorted = "$1\r\n2\r\n$1\r\n1\r\n$1\r\n3\r\n$1\r\n2\r\n$1\r\n1\r\n$1\r\n3\r\n";
      expect(await client.call(sort)).toBe(`*6\r\n${sorted}`);
      expect(await client.call(sort.replace("SORT", "SORT_RO"))).toBe(`*6\r\n${sorted}`);
      expect(await client.call(`${sort} STORE {${tag}}s`)).toBe(":6\r\n");
      for (const loose of ["BY w_*", "GET w_*", `BY {${tag}}w_* GET w_*`, "BY w_{*}"]) {
        expect(await client.call(`SORT {${tag}}n ${loose}`)).toMatch(
          /^-ERR .*BY and GET.*a pattern like \{tag\}\*/,
        );
      }
    }
    // Two tags of two partitions.
    const other = await client.call("SORT {a}n BY {b}w_*");
    const third = await client.call("SORT {a}n BY {c}w_*");
    const fourth = await client.call("SORT {a}n BY {d}w_*");
    expect([other, third, fourth].join()).toContain("-CROSSSLOT");
  });

  test("a command of several keys in several partitions is refused with the hint of a hash tag", async () => {
    const client = await cluster.client();
    for (const command of [
      ...["RENAME a b", "RENAMENX a b", "COPY a b", "SMOVE a b x", "LMOVE a b LEFT LEFT"],
      ...["RPOPLPUSH a b", "SINTER a b", "SUNIONSTORE a b user:2", "SDIFF a b", "BITOP OR a b"],
      ...["PFCOUNT a b", "PFMERGE a b", "ZUNIONSTORE a 2 b user:2", "ZINTER 2 a b", "LCS a b"],
      ...["ZRANGESTORE a b 0 -1", "MSETNX a 1 b 2", "LMPOP 2 a b LEFT", "ZMPOP 2 a b MIN"],
      ...["GEOSEARCHSTORE a b FROMLONLAT 0 0 BYRADIUS 1 km", "SORT a STORE b", "EVAL x 2 a b"],
      ...["XREAD STREAMS a b 0 0", "SINTERCARD 2 a b", "GEORADIUS a 0 0 1 km STORE b"],
    ]) {
      const reply = await client.call(command);
      expect([command, reply]).toEqual([
        command,
        expect.stringMatching(
          /^-CROSSSLOT Keys in request .* where twine.conf says 'hash-tag \{\}'/,
        ),
      ]);
    }
    expect(await client.call("EXISTS a b user:2")).toBe(":3\r\n");
  });

  test("everything that the page calls refused is refused by name with its reason, and the connection goes on", async () => {
    const client = await cluster.client();
    const table = await ask(client, "COMMAND");
    const arities = new Map<string, number>();
    const learn = (specs: readonly RespValue[]): void => {
      for (const spec of specs) {
        const [name, arity] = itemsOf(spec);
        arities.set(textOf(name)?.toUpperCase().replace("|", " ") ?? "", numberOf(arity) ?? 0);
        learn(itemsOf(itemsOf(spec)[9]));
      }
    };
    learn(itemsOf(table));
    const refused = readCommandPage().filter(({ answer }) => answer === "refused");
    expect(refused.length).toBeGreaterThan(60);
    for (const { name, remark } of refused) {
      const words = name.split(" ");
      while (words.length < Math.abs(arities.get(name) ?? 0)) words.push("1");
      expect(await client.callArgs(words)).toBe(
        `-ERR twine: '${name.toLowerCase()}' is not supported: ${remark}\r\n`,
      );
    }
    expect(await client.call("PING")).toBe("+PONG\r\n");
  });
});
