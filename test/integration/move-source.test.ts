// move-source.test.ts: one node's keys into three redis-servers while a writer changes them by every kind of command.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { MoveSource } from "../../runtime/move/move-source.ts";
import { Spool } from "../../runtime/move/spool.ts";
import { openNodeTarget, type MoveTarget } from "../../runtime/move/target.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { seededRandom } from "../../runtime/ports/seeded-random.ts";
import {
  openNodeSocket,
  type NodeAddress,
  type NodeSocket,
} from "../../runtime/replication/node-socket.ts";
import { itemsOf, numberOf, textOf } from "../../runtime/resp/value.ts";
import { isMissing } from "../support/programs.ts";
import { startRedis, until, type TestRedis } from "../support/redis-server.ts";

const SETTINGS = [
  "repl-diskless-sync-delay 0",
  "enable-debug-command yes",
  "repl-backlog-size 64mb",
];
const address = ({ port }: TestRedis) => ({ host: "127.0.0.1", port });
const socketTo = async (server: TestRedis): Promise<NodeSocket> => {
  const socket = await openNodeSocket(address(server), {
    ...{ clock: systemClock, silenceMsMax: 60_000 },
  });
  onTestFinished(() => {
    socket.destroy();
  });
  return socket;
};

interface Move {
  readonly servers: { readonly first: TestRedis; readonly replica: TestRedis };
  readonly source: MoveSource;
  readonly master: NodeSocket;
  readonly targets: readonly NodeSocket[];
}

const TARGETS = 3;
const targetOf = (key: Buffer): number => crc32(key) % TARGETS;

/** A master with a replica, from which keys go to three empty servers. */
async function startMove(elsewhere?: () => readonly NodeAddress[], db = 0): Promise<Move> {
  const first = await startRedis(SETTINGS);
  const replica = await startRedis([...SETTINGS, `replicaof 127.0.0.1 ${first.port}`]);
  const servers: TestRedis[] = [];
  for (let count = 0; count < TARGETS; count++) servers.push(await startRedis(SETTINGS));
  const asked = await socketTo(replica);
  await until("the replica is in sync", async () =>
    (textOf(await asked.call("INFO", "replication")) ?? "").includes("master_link_status:up"),
  );
  const folder = await mkdtemp(join(tmpdir(), "twine-move-"));
  const spool = await Spool.open(join(folder, "feed"));
  const access = { clock: systemClock, silenceMsMax: 60_000 };
  const targets: MoveTarget[] = [];
  for (const server of servers) targets.push(await openNodeTarget(address(server), access));
  const source = new MoveSource({
    ...{ address: address(replica), db, targets, targetOf, spool, clock: systemClock },
    ...{ signal: new AbortController().signal, valueBytesMax: 1024 * 1024, elsewhere },
  });
  onTestFinished(async () => {
    await source.close();
    await spool.close();
    for (const target of targets) target.close();
    await rm(folder, { recursive: true, force: true });
  });
  const master = await socketTo(first);
  return {
    servers: { first, replica },
    source,
    master,
    targets: await Promise.all(servers.map(socketTo)),
  };
}

const offsetOf = async (node: NodeSocket): Promise<number> =>
  Number(
    /master_repl_offset:(\d+)/.exec(textOf(await node.call("INFO", "replication")) ?? "")?.[1],
  );

/** Key to digest of its value and its expiry. */
async function contentOf(nodes: readonly NodeSocket[]): Promise<Map<string, string>> {
  const content = new Map<string, string>();
  for (const node of nodes) {
    const keys = itemsOf(await node.call("KEYS", "*")).map((key) => textOf(key) ?? "");
    const read = keys.map(async (key): Promise<readonly [string, string]> => {
      const digest = node.call("DEBUG", "DIGEST-VALUE", key);
      const expiry = node.call("PEXPIRETIME", key);
      return [
        key,
        `${textOf(itemsOf(await digest)[0]) ?? ""} ${JSON.stringify(await expiry, asText)}`,
      ];
    });
    for (const [key, value] of await Promise.all(read)) content.set(key, value);
  }
  return content;
}
const asText = (_: string, value: unknown): unknown =>
  typeof value === "bigint" ? String(value) : value;

const SCRIPT =
  "redis.call('INCRBY', KEYS[1], 7) redis.call('APPEND', KEYS[2], 'x') return redis.call('SADD', KEYS[3], ARGV[1])";

/** One command of many kinds, on one key or on several that lie anywhere. */
function anyCommand(random: () => number): string[] {
  const number = (below: number): number => Math.floor(random() * below);
  const key = (type: string): string => `${type}:${number(300)}`;
  const value = String(number(1000));
  const late = String(Date.now() + 3_600_000);
  const kinds: (() => string[])[] = [
    () => ["INCR", key("n")],
    () => ["MSET", key("n"), value, key("n"), value],
    () => ["SET", key("e"), value, "PXAT", late],
    () => ["PERSIST", key("e")],
    () => ["DEL", key("n"), key("l"), key("s")],
    () => ["RPUSH", key("l"), value],
    () => ["LMOVE", key("l"), key("l"), "LEFT", "RIGHT"],
    () => ["SADD", key("s"), value, String(number(1000))],
    () => ["SPOP", key("s")],
    () => ["SMOVE", key("s"), key("s"), value],
    () => ["SUNIONSTORE", key("s"), key("s"), key("s")],
    () => ["RENAME", key("n"), key("n")],
    () => ["COPY", key("h"), key("h"), "REPLACE"],
    () => ["HINCRBY", key("h"), value, "1"],
    () => ["ZADD", key("z"), value, key("m")],
    () => ["ZRANGESTORE", key("z"), key("z"), "0", "5"],
    () => ["SORT", key("s"), "BY", "n:*", "STORE", key("l")],
    () => ["XADD", key("x"), "MAXLEN", "~", "50", "*", "f", value],
    () => ["XGROUP", "CREATE", key("x"), "g", "0", "MKSTREAM"],
    () => ["XREADGROUP", "GROUP", "g", `c${number(3)}`, "COUNT", "2", "STREAMS", key("x"), ">"],
    () => ["EVAL", SCRIPT, "3", key("n"), key("a"), key("s"), value],
    () => ["SETBIT", key("b"), value, "1"],
    () => ["BITOP", "OR", key("b"), key("b"), key("b")],
    () => ["PFADD", key("p"), value],
    () => ["PFMERGE", key("p"), key("p"), key("p")],
    () => ["GEOADD", key("g"), "13.3", "38.1", value],
  ];
  return (kinds[number(kinds.length)] ?? (() => ["PING"]))();
}

describe.skipIf(isMissing("redis-server"))("a source's keys", () => {
  test("of another database than 0, also those that have to be copied anew", async () => {
    const { source, master, targets } = await startMove(undefined, 3);
    await master.call("SELECT", "3");
    for (let at = 0; at < 50; at++) await master.call("SET", `key:${at}`, String(at));
    await source.load();
    // Over several targets: the keys are read from the source again.
    for (let at = 0; at < 50; at++) await master.call("RENAME", `key:${at}`, `new:${at}`);
    await source.drainTo(await offsetOf(master));
    const expected = await contentOf([master]);
    expect(expected.size).toBe(50);
    expect(await contentOf(targets)).toEqual(expected);
  });

  test("reach three targets exactly while they are written, whatever the commands", async () => {
    const { source, master, targets } = await startMove();
    const random = seededRandom(7);
    const write = async (count: number): Promise<void> => {
      const calls = Array.from({ length: count }, () =>
        // Refused by the type of the key, or without effect: all of that belongs to it.
        master.call(...anyCommand(() => random.next())).catch(() => undefined),
      );
      await Promise.all(calls);
    };
    for (let round = 0; round < 5; round++) await write(1000);
    await Promise.all([source.load(), write(3000)]);
    for (let round = 0; round < 10; round++) {
      await write(1000);
      await source.drainTo(await offsetOf(master));
    }
    const expected = await contentOf([master]);
    const moved = await contentOf(targets);
    expect(moved).toEqual(expected);
    expect(expected.size).toBeGreaterThan(1000);
    // Each key at its own target.
    for (const [index, target] of targets.entries()) {
      const keys = itemsOf(await target.call("KEYS", "*")).map((key) => textOf(key) ?? "");
      expect(keys.every((key) => targetOf(Buffer.from(key)) === index)).toBe(true);
    }
  });

  test.each([
    ["its RDB gave it", (key: string, ms: string) => [["SET", key, "41", "PX", ms]], []],
    [
      "the feed gave it",
      (key: string) => [["SET", key, "41"]],
      [(key: string, ms: string) => ["PEXPIRE", key, ms]],
    ],
    [
      "another key had it",
      (key: string) => [["SET", key, "41"]],
      [
        (key: string, ms: string) => ["SET", `${key}:other`, "41", "PX", ms],
        (key: string) => ["RENAME", `${key}:other`, key],
      ],
    ],
  ])(
    "whose time is over at the target, and was prolonged at the source, are there (%s)",
    async (_, before, after) => {
      const { source, master, targets } = await startMove();
      const keys = Array.from({ length: 20 }, (__, index) => `{${index}}k`);
      const ttlMs = 600_000;
      for (const key of keys) {
        for (const words of before(key, String(ttlMs))) await master.call(...words);
      }
      await source.load();
      for (const key of keys) {
        for (const words of after) await master.call(...words(key, String(ttlMs)));
      }
      await source.drainTo(await offsetOf(master));
      // As a target does when its clock says that their time is over.
      for (const target of targets) await target.call("DEL", ...keys);
      for (const [index, key] of keys.entries()) {
        await master.call("INCR", key);
        if (index % 2 === 0) await master.call("PEXPIREAT", key, String(Date.now() + 2 * ttlMs));
        else await master.call("PERSIST", key);
      }
      const expected = await contentOf([master]);
      expect(expected.size).toBe(keys.length);
      await source.drainTo(await offsetOf(master));
      expect(await contentOf(targets)).toEqual(expected);
    },
  );

  test("are followed from an offset on without an RDB, also when the node of the feed dies", async () => {
    const { servers, source, master, targets } = await startMove(() => [
      address(servers.replica),
      address(servers.first),
    ]);
    await master.call("SET", "n", "1");
    const info = textOf(await master.call("INFO", "replication")) ?? "";
    const replicationId = /master_replid:(\w+)/.exec(info)?.[1] ?? "";
    await source.resumeElsewhere({ replicationId, offset: await offsetOf(master) });
    const numbers = Array.from({ length: 20 }, (_, index) => `n:${index}`);
    const write = () => Promise.all(numbers.map((key) => master.call("INCR", key)));
    await write();
    await source.drainTo(await offsetOf(master));
    await servers.replica.kill();
    await write();
    await source.drainTo(await offsetOf(master));
    await master.call("DEL", "n");
    expect(await contentOf(targets)).toEqual(await contentOf([master]));
    const lost = await startMove(() => [address(servers.first)]);
    await expect(lost.source.resumeElsewhere({ replicationId, offset: 1e9 })).rejects.toMatchObject(
      {
        code: "MOVE_RESTART",
      },
    );
  });

  test("are followed no more when the source empties its database: everything begins anew", async () => {
    const { source, master } = await startMove();
    await master.call("SET", "a", "1");
    await source.load();
    await master.call("FLUSHALL");
    await expect(source.drainTo(await offsetOf(master))).rejects.toMatchObject({
      code: "MOVE_RESTART",
    });
  });

  test("a target that refuses ends the move with its words, and what another changed there is made right", async () => {
    const { source, master, targets } = await startMove();
    await master.call("SET", "n", "1");
    await source.load();
    const target = targets[targetOf(Buffer.from("n"))];
    await target?.call("DEL", "n");
    await target?.call("LPUSH", "n", "of another type");
    await master.call("INCR", "n");
    await source.drainTo(await offsetOf(master));
    expect(textOf(await target?.call("GET", "n"))).toBe("2");
    await target?.call("CONFIG", "SET", "maxmemory", "1");
    await master.call("SET", "n", "3");
    await expect(source.drainTo(await offsetOf(master))).rejects.toMatchObject({
      code: "MOVE_REFUSED",
    });
  });

  test("a value that is too long is named before anything is half moved", async () => {
    const { source, master } = await startMove();
    const random = seededRandom(9);
    const long = Buffer.from(Array.from({ length: 2 * 1024 * 1024 }, () => random.next() * 256));
    await master.call("SET", "long", long);
    // The replica is read.
    await until(
      "the replica has it",
      async () => numberOf(await master.call("WAIT", "1", "1000")) === 1,
    );
    await expect(source.load()).rejects.toMatchObject({ code: "MOVE_VALUE_TOO_LONG" });
  });
});
