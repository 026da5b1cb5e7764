// router-faults.test.ts: what the router does while masters are missing, change, or say no.
import { describe, expect, test } from "vitest";
import { builtinHashing } from "../../runtime/core/hashing.ts";
import { credentialsOf } from "../../runtime/core/credentials.ts";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { isMissing } from "../support/programs.ts";
import { startRedis, until } from "../support/redis-server.ts";
import { pipelined, startRouterCluster } from "../support/router-cluster.ts";

const ONE = { partitions: 1 };

describe.skipIf(isMissing("redis-server"))("router", () => {
  test("requests without a master are held, and done in their order when there is one", async () => {
    const cluster = await startRouterCluster(ONE);
    const [server] = cluster.servers;
    const node = { port: server?.port ?? 0, partition: 0 };
    const client = await cluster.client();
    await client.call("SET a 0");
    cluster.view.show([node], [null]);
    for (let count = 0; count < 20; count++)
      client.send(encodeCommand(["APPEND", "a", `${count},`]));
    client.send(encodeCommand(["GET", "a"]));
    const other = await startRedis();
    cluster.view.show([{ port: other.port, partition: 0 }], [other.port]);
    for (let count = 0; count < 20; count++) expect(await client.reply()).toMatch(/^:/);
    const expected = Array.from({ length: 20 }, (_, count) => `${count},`).join("");
    expect(await client.reply()).toBe(`$${expected.length}\r\n${expected}\r\n`);
  });

  test("by another hash than the keys lie by nothing is read or written, whatever was held", async () => {
    const cluster = await startRouterCluster(ONE);
    const client = await cluster.client();
    await client.call("SET a 1");
    const before = cluster.view.current();
    if (before === undefined) throw new Error("no view");
    const hashing = builtinHashing({ hash: { kind: "builtin", name: "crc16" }, partitions: 2 });
    cluster.view.set({ ...before, hashing });
    const why = /^-TWINEDOWN nothing is routed: the keys are placed by crc16 over 2 partitions/;
    expect(await client.call("GET a")).toMatch(why);
    expect(await client.call("MSET a 2 b 2")).toMatch(why);
    expect(await client.call("DBSIZE")).toMatch(why);
    expect(await client.call("PING")).toBe("+PONG\r\n");
    cluster.view.set(before);
    expect(await client.call("GET a")).toBe("$1\r\n1\r\n");
  });

  test("a request held for too long gets TWINEDOWN, and other partitions never wait", async () => {
    const cluster = await startRouterCluster({ partitions: 2, settings: ["hold-for 300ms"] });
    const nodes = cluster.servers.map(({ port }, partition) => ({ port, partition }));
    const client = await cluster.client();
    // Some of eight keys are in each of two partitions.
    cluster.view.show(nodes, [cluster.servers[0]?.port ?? 0, null]);
    for (let key = 0; key < 8; key++) client.send(encodeCommand(["SET", `k${key}`, "1"]));
    const replies = await client.replies(8);
    expect(new Set(replies)).toEqual(
      new Set(["+OK\r\n", "-TWINEDOWN partition 1 has no master\r\n"]),
    );
    client.send(encodeCommand(["DBSIZE"]));
    expect(await client.reply()).toBe("-TWINEDOWN partition 1 has no master\r\n");
  });

  test("an MSET that reached one partition of two says which keys were not written", async () => {
    const cluster = await startRouterCluster({ partitions: 2, settings: ["hold-for 200ms"] });
    const nodes = cluster.servers.map(({ port }, partition) => ({ port, partition }));
    cluster.view.show(nodes, [cluster.servers[0]?.port ?? 0, null]);
    const client = await cluster.client();
    const reply = await client.call("MSET k0 1 k1 1 k2 1 k3 1 k4 1 k5 1");
    expect(reply).toMatch(/^-PARTIAL MSET was done for \d of 6 keys, not for partition 1 with 'k/);
    expect(reply).toMatch(/TWINEDOWN partition 1 has no master\r\n$/);
    const values = await client.call("MGET k0 k1 k2 k3 k4 k5");
    expect(values).toMatch(/^\*6\r\n/);
    expect(values).toMatch(/\$1\r\n1\r\n/);
    expect(values).toMatch(/-TWINEDOWN/);
  });

  test("READONLY and MASTERDOWN prove that nothing was done: the request is sent again", async () => {
    const cluster = await startRouterCluster(ONE);
    const [server] = cluster.servers;
    const link = await server?.link();
    const client = await cluster.client();
    await client.call("SET a 1");
    await link?.call("REPLICAOF", "127.0.0.1", "1");
    await link?.call("CONFIG", "SET", "replica-serve-stale-data", "no");
    client.send(pipelined(["INCR a", "GET a", "INCR a", "GET a"]));
    const errors = async (): Promise<string> => (await link?.call("INFO", "errorstats")) as string;
    await until("the dead node said no", async () => /errorstat_MASTERDOWN/.test(await errors()));
    await link?.call("REPLICAOF", "NO", "ONE");
    const replies = await client.replies(4);
    expect(replies).toEqual([":2\r\n", "$1\r\n2\r\n", ":3\r\n", "$1\r\n3\r\n"]);
  });

  test("when the connection breaks, reads on the wire are repeated and writes get UNCERTAIN", async () => {
    const cluster = await startRouterCluster(ONE);
    const [server] = cluster.servers;
    const client = await cluster.client();
    await client.call("SET a 1");
    server?.signal("SIGSTOP");
    client.send(pipelined(["GET b", "SET a 2", "GET b"]));
    await (await cluster.client()).call("PING");
    await server?.kill();
    await server?.start();
    const replies = await client.replies(3);
    expect(replies[0]).toBe("$-1\r\n");
    expect(replies[1]).toMatch(/^-UNCERTAIN [\w-]+ of partition 0 gave no reply/);
    expect(replies[2]).toBe("$-1\r\n");
  });

  test("a silent master that is replaced gives up what is on the wire", async () => {
    const cluster = await startRouterCluster(ONE);
    const [server] = cluster.servers;
    const client = await cluster.client();
    await client.call("SET a 1");
    server?.signal("SIGSTOP");
    client.send(pipelined(["SET a 2", "GET a"]));
    await (await cluster.client()).call("PING");
    const other = await startRedis();
    cluster.view.show([{ port: other.port, partition: 0 }], [other.port]);
    expect(await client.reply()).toMatch(/^-UNCERTAIN/);
    expect(await client.reply()).toBe("$-1\r\n");
    expect(await client.call("SET a 3")).toBe("+OK\r\n");
  });

  test("while the view is not confirmed writes are held and other clients' reads go on", async () => {
    const cluster = await startRouterCluster(ONE);
    const [writer, reader] = [await cluster.client(), await cluster.client()];
    await writer.call("SET a 1");
    cluster.view.confirm(false);
    writer.send(pipelined(["SET a 2", "GET a"]));
    await reader.call("PING");
    expect(await reader.call("GET a")).toBe("$1\r\n1\r\n");
    cluster.view.confirm(true);
    expect(await writer.reply()).toBe("+OK\r\n");
    // The writer's own read did not overtake its write.
    expect(await writer.reply()).toBe("$1\r\n2\r\n");
  });

  test("held requests beyond hold-bytes are refused at once", async () => {
    const cluster = await startRouterCluster({ ...ONE, settings: ["hold-bytes 1kb"] });
    const client = await cluster.client();
    await client.call("PING");
    await client.call("GET a");
    cluster.view.show([], [null]);
    const value = "x".repeat(700);
    client.send(pipelined([`SET a ${value}`, `SET b ${value}`]));
    const node = { port: cluster.servers[0]?.port ?? 0, partition: 0 };
    await (await cluster.client()).call("PING");
    cluster.view.show([node], [node.port]);
    expect(await client.reply()).toBe("+OK\r\n");
    expect(await client.reply()).toMatch(/^-TWINEDOWN .*hold-bytes is used up/);
  });

  test("with a password clients must show it, and the nodes are entered as the user router", async () => {
    const router = credentialsOf("router", "secret")?.password ?? "";
    const user = `user router on >${router} ~* &* +@all`;
    const cluster = await startRouterCluster({ ...ONE, password: "secret", redis: [] });
    const link = await cluster.servers[0]?.link();
    await link?.call("ACL", "SETUSER", ...user.split(" ").slice(1));
    await link?.call("ACL", "SETUSER", "default", "off");
    const client = await cluster.client();
    expect(await client.call("GET a")).toBe("-NOAUTH Authentication required.\r\n");
    expect(await client.call("AUTH wrong")).toMatch(/^-WRONGPASS/);
    expect(await client.call("AUTH secret")).toBe("+OK\r\n");
    expect(await client.call("SET a 1")).toBe("+OK\r\n");
    const three = await cluster.client();
    expect(await three.call("HELLO 3 AUTH app secret")).toMatch(/^%7/);
    expect(await three.call("GET a")).toBe("$1\r\n1\r\n");
  });

  test("a client that reads nothing stops being read, and gets everything when it reads", async () => {
    const cluster = await startRouterCluster(ONE);
    const client = await cluster.client();
    await client.callArgs(["SET", "big", "x".repeat(1_000_000)]);
    client.socket.pause();
    for (let count = 0; count < 100; count++) client.send(encodeCommand(["GET", "big"]));
    const other = await cluster.client();
    for (let count = 0; count < 50; count++) await other.call("GET big");
    client.socket.resume();
    for (let count = 0; count < 100; count++) {
      expect((await client.reply()).length).toBe(1_000_000 + "$1000000\r\n\r\n".length);
    }
  });

  test("closing answers what is owed and ends every connection", async () => {
    const cluster = await startRouterCluster(ONE);
    const client = await cluster.client();
    await client.call("GET a");
    client.send(Buffer.concat(Array.from({ length: 200 }, () => encodeCommand(["INCR", "n"]))));
    expect(await client.reply()).toBe(":1\r\n");
    client.socket.on("end", () => client.socket.end());
    await cluster.close();
  });
});
