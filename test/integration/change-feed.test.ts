// The change feed of real nodes: exact offsets, databases, transactions, a failover, and a backlog that is too short.
import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../runtime/ports/clock.ts";
import type { RedisLink } from "../../runtime/ports/redis-link.ts";
import { openChangeFeed, type ChangeFeed } from "../../runtime/replication/change-feed.ts";
import { FeedReader, type FeedCommand } from "../../runtime/replication/feed-reader.ts";
import { startRedis, until, type TestRedis } from "../support/redis-server.ts";

async function infoOf(link: RedisLink): Promise<string> {
  const info = await link.call("INFO", "replication");
  return typeof info === "string" ? info : "";
}

async function mark(link: RedisLink): Promise<{ replicationId: string; offset: number }> {
  const info = await infoOf(link);
  const offset = /slave_repl_offset:(\d+)/.exec(info) ?? /master_repl_offset:(\d+)/.exec(info);
  return {
    replicationId: /master_replid:(\w+)/.exec(info)?.[1] ?? "",
    offset: Number(offset?.[1]),
  };
}

async function open(
  node: TestRedis,
  start: { replicationId: string; offset: number },
): Promise<ChangeFeed | undefined> {
  const abort = new AbortController();
  const feed = await openChangeFeed({ host: "127.0.0.1", port: node.port }, start, {
    ...{ credentials: undefined, signal: abort.signal, clock: systemClock },
  });
  onTestFinished(() => feed?.close());
  return feed;
}

/** Reads until a command with that name has come; answers all before and it, without the pings. */
async function readTo(feed: ChangeFeed, reader: FeedReader, name: string): Promise<FeedCommand[]> {
  const found: FeedCommand[] = [];
  while (found.at(-1)?.name !== name) {
    for (const command of reader.push(await feed.chunk()))
      if (command.name !== "PING") found.push(command);
  }
  return found;
}

/** A master and its replica in sync. */
async function pair(...settings: string[]) {
  const nodes = [
    await startRedis(["repl-diskless-sync-delay 0", ...settings]),
    await startRedis(settings),
  ] as const;
  const [master, replica] = [await nodes[0].link(), await nodes[1].link()];
  await replica.call("REPLICAOF", "127.0.0.1", nodes[0].port);
  await until("the replica follows", async () =>
    (await infoOf(replica)).includes("master_link_status:up"),
  );
  return { nodes, master, replica };
}

test("a replica gives every write behind an offset, with its database, transactions and exact offsets; WAIT counts nobody more", async () => {
  const { nodes, master, replica } = await pair();
  await master.call("SET", "before", "1");
  await until("the replica has it", async () => (await replica.call("GET", "before")) === "1");
  const start = await mark(replica);
  const feed = await open(nodes[1], start);
  if (feed === undefined) throw new Error("the feed does not continue");
  expect(feed.replicationId).toBe(start.replicationId);
  const reader = new FeedReader(start.offset, 0);
  await master.call("SET", "after", "1", "EX", 1000);
  await master.call("SELECT", 3);
  await master.call("EVAL", "redis.call('SET','a',1) redis.call('SET','b',2)", 0);
  await master.call("SELECT", 0);
  await master.call("RENAME", "after", "last");
  const commands = await readTo(feed, reader, "RENAME");
  const shown = commands.map(({ name, db, isBoundary }) => `${name} ${db} ${isBoundary}`);
  expect(shown).toEqual([
    ...[
      "SET 0 true",
      "SELECT 3 true",
      "MULTI 3 false",
      "SET 3 false",
      "SET 3 false",
      "EXEC 3 true",
    ],
    ...["SELECT 0 true", "RENAME 0 true"],
  ]);
  expect(commands[0]?.args.map(String).slice(0, 4)).toEqual(["SET", "after", "1", "PXAT"]);
  await until("the replica is there", async () => (await mark(replica)).offset >= reader.offset);
  expect((await mark(master)).offset).toBe(reader.offset);
  expect(await master.call("WAIT", 2, 300)).toBe(1);
});

test("after a failover the old id goes on up to the fork, under the new one's name", async () => {
  const { nodes, master, replica } = await pair();
  await master.call("SET", "a", "1");
  await until("the replica has it", async () => (await replica.call("GET", "a")) === "1");
  const start = await mark(replica);
  await nodes[0].kill();
  await replica.call("REPLICAOF", "NO", "ONE");
  const promoted = await mark(replica);
  expect(promoted.replicationId).not.toBe(start.replicationId);
  const feed = await open(nodes[1], start);
  expect(feed?.replicationId).toBe(promoted.replicationId);
  await replica.call("SET", "b", "2");
  const commands =
    feed === undefined ? [] : await readTo(feed, new FeedReader(start.offset), "SET");
  expect(commands.map(({ name, args }) => [name, String(args[1])])).toContainEqual(["SET", "b"]);
});

test("an offset that the backlog has lost, or an id of nobody, is gone; a dead node and a broken link are errors of their kind", async () => {
  const { nodes, master, replica } = await pair(
    "repl-backlog-size 16384",
    "replica-serve-stale-data no",
  );
  const start = await mark(replica);
  expect(await open(nodes[1], { ...start, replicationId: "f".repeat(40) })).toBeUndefined();
  await master.call("SET", "large", "x".repeat(40_000));
  await until("the replica has it", async () => (await replica.call("STRLEN", "large")) === 40_000);
  expect(await open(nodes[1], start)).toBeUndefined();
  const feed = await open(nodes[1], await mark(replica));
  await nodes[1].kill();
  await expect(
    (async () => {
      for (;;) await feed?.chunk();
    })(),
  ).rejects.toMatchObject({ kind: "closed" });
  await nodes[1].start();
  const again = await nodes[1].link();
  await again.call("REPLICAOF", "127.0.0.1", "1");
  await expect(open(nodes[1], start)).rejects.toMatchObject({ kind: "master-down" });
});
