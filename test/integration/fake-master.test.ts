// A node takes an RDB of ours in two phases: nothing changes before the release, everything after it.
import { expect, onTestFinished, test } from "vitest";
import type { Credentials } from "../../runtime/core/credentials.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import type { RedisLink } from "../../runtime/ports/redis-link.ts";
import { FakeMaster, newReplicationId } from "../../runtime/replication/fake-master.ts";
import { rdbOf, serverWith } from "../support/rdb-content.ts";
import { startRedis, until } from "../support/redis-server.ts";

const OFFSET = 1000;

async function* chunksOf(rdb: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < rdb.length; at += 10_000) {
    yield await Promise.resolve(rdb.subarray(at, at + 10_000));
  }
}

/** An RDB of so many keys named new:N. */
async function newRdb(keyCount: number): Promise<Buffer> {
  const server = await serverWith(undefined);
  for (let at = 0; at < keyCount; at++) await server.call("SET", `new:${at}`, "x".repeat(500));
  return rdbOf(server);
}

async function masterOf(
  rdb: Buffer,
  replicationId: string,
  credentials?: Credentials,
): Promise<FakeMaster> {
  const master = await FakeMaster.listen({
    clock: systemClock,
    replicationId,
    offset: OFFSET,
    rdbBytes: rdb.length,
    open: () => chunksOf(rdb),
    host: "127.0.0.1",
    nodeAddress: "127.0.0.1",
    credentials,
  });
  onTestFinished(() => {
    master.close();
  });
  return master;
}

/** A node with three old keys. */
async function oldNode(...settings: string[]): Promise<RedisLink> {
  const node = await startRedis([...settings, "replica-serve-stale-data yes"]);
  const link = await node.link();
  await link.call("MSET", "old:1", "1", "old:2", "2", "old:3", "3");
  return link;
}

async function infoOf(link: RedisLink, section: string): Promise<string> {
  const info = await link.call("INFO", section);
  return typeof info === "string" ? info : "";
}

const becomes = (master: FakeMaster, state: string): Promise<void> =>
  until(
    `the fake master is ${state}, not ${master.state} (${String(master.failure)})`,
    () => master.state === state,
  );

test.each([[["appendonly no"]], [["appendonly yes"]]])(
  "two nodes keep their old data until the release, then hold the new; one is made master and the other continues, %j",
  async (settings) => {
    const rdb = await newRdb(300);
    const replicationId = newReplicationId();
    const nodes = await Promise.all([oldNode(...settings), oldNode(...settings)]);
    const masters = await Promise.all(nodes.map(() => masterOf(rdb, replicationId)));
    for (const [index, node] of nodes.entries()) {
      await node.call("REPLICAOF", "127.0.0.1", masters[index]?.port ?? 0);
    }
    for (const master of masters) await becomes(master, "ready");
    for (const node of nodes) {
      expect(await node.call("DBSIZE")).toBe(3);
      expect(await node.call("GET", "old:1")).toBe("1");
    }
    expect(masters.map((master) => master.release())).toEqual([true, true]);
    for (const master of masters) await becomes(master, "loaded");
    for (const node of nodes) {
      expect(await node.call("DBSIZE")).toBe(300);
      expect(await node.call("GET", "old:1")).toBeNull();
    }
    const [first, second] = nodes;
    await first.call("REPLICAOF", "NO", "ONE");
    const info = await infoOf(first, "server");
    await second.call("REPLICAOF", "127.0.0.1", /tcp_port:(\d+)/.exec(info)?.[1] ?? "");
    await until("the second follows the first", async () =>
      (await infoOf(second, "replication")).includes("master_link_status:up"),
    );
    const stats = await infoOf(first, "stats");
    expect([/sync_full:(\d+)/.exec(stats)?.[1], /sync_partial_ok:(\d+)/.exec(stats)?.[1]]).toEqual([
      "0",
      "1",
    ]);
  },
);

test("given up before the release, by us or by the node, nothing has changed", async () => {
  const rdb = await newRdb(300);
  const node = await oldNode();
  const master = await masterOf(rdb, newReplicationId());
  await node.call("REPLICAOF", "127.0.0.1", master.port);
  await becomes(master, "ready");
  await node.call("REPLICAOF", "127.0.0.1", "1");
  await becomes(master, "sending");
  expect([master.release(), master.failure]).toEqual([false, "the node closed the connection"]);
  await node.call("REPLICAOF", "NO", "ONE");
  expect(await node.call("MGET", "old:1", "old:3", "new:1")).toEqual(["1", "3", null]);
  // Once more, from the beginning, and now it is we who end it.
  await node.call("REPLICAOF", "127.0.0.1", master.port);
  await becomes(master, "ready");
  master.close();
  await node.call("REPLICAOF", "NO", "ONE");
  expect(await node.call("DBSIZE")).toBe(3);
});

test("a node that broke off and came back is connected, though its earlier failure is still known", async () => {
  const node = await oldNode();
  const master = await masterOf(await newRdb(300), newReplicationId());
  expect(master.isConnected).toBe(false);
  await node.call("REPLICAOF", "127.0.0.1", master.port);
  await becomes(master, "ready");
  await node.call("REPLICAOF", "NO", "ONE");
  await becomes(master, "sending");
  expect(master.isConnected).toBe(false);
  await node.call("REPLICAOF", "127.0.0.1", master.port);
  await becomes(master, "ready");
  expect([master.failure, master.isConnected]).toEqual(["the node closed the connection", true]);
  expect(master.release()).toBe(true);
  expect(master.isConnected).toBe(true);
  await becomes(master, "loaded");
});

test("a tiny RDB is held back whole enough, and one that is shorter than announced never becomes ready", async () => {
  const rdb = await newRdb(0);
  const node = await oldNode();
  const master = await masterOf(rdb, newReplicationId());
  await node.call("REPLICAOF", "127.0.0.1", master.port);
  await becomes(master, "ready");
  expect(await node.call("DBSIZE")).toBe(3);
  master.release();
  await becomes(master, "loaded");
  expect(await node.call("DBSIZE")).toBe(0);
  const short = await masterOf(Buffer.from("REDIS0010"), newReplicationId());
  const broken = await FakeMaster.listen({
    clock: systemClock,
    replicationId: newReplicationId(),
    offset: 0,
    rdbBytes: 100,
    open: () => chunksOf(Buffer.from("REDIS0010")),
    host: "127.0.0.1",
    nodeAddress: "127.0.0.1",
  });
  short.close();
  await node.call("REPLICAOF", "127.0.0.1", broken.port);
  await until("it is noticed", () => broken.failure?.includes("9 bytes instead of 100") === true);
  expect(broken.release()).toBe(false);
  await node.call("REPLICAOF", "NO", "ONE");
  broken.close();
});

test("only the node is served, and only with the replica's password", async () => {
  const rdb = await newRdb(10);
  const credentials = { username: "replica", password: "right" } as const;
  const master = await masterOf(rdb, newReplicationId(), credentials);
  const wrong = await oldNode("masterauth wrong", "masteruser replica");
  await wrong.call("REPLICAOF", "127.0.0.1", master.port);
  await until("it was refused", async () =>
    (await infoOf(wrong, "replication")).includes("master_sync_in_progress:0"),
  );
  expect(master.sentBytes).toBe(0);
  await wrong.call("CONFIG", "SET", "masterauth", "right");
  await becomes(master, "ready");
  // Nodes of an environment connect from another address than the one they listen on.
  await wrong.call("CONFIG", "SET", "bind-source-addr", "127.9.8.7");
  await wrong.call("REPLICAOF", "NO", "ONE");
  await becomes(master, "sending");
  await wrong.call("REPLICAOF", "127.0.0.1", master.port);
  await becomes(master, "ready");
  await wrong.call("REPLICAOF", "NO", "ONE");
  const elsewhere = await FakeMaster.listen({
    clock: systemClock,
    replicationId: newReplicationId(),
    offset: 0,
    rdbBytes: rdb.length,
    open: () => chunksOf(rdb),
    host: "127.0.0.1",
    nodeAddress: "10.214.0.1",
  });
  onTestFinished(() => {
    elsewhere.close();
  });
  await wrong.call("REPLICAOF", "127.0.0.1", elsewhere.port);
  await until("it came and was sent away", async () =>
    (await infoOf(wrong, "replication")).includes("master_link_status:down"),
  );
  expect([elsewhere.state, elsewhere.sentBytes]).toEqual(["sending", 0]);
  await wrong.call("REPLICAOF", "NO", "ONE");
});
