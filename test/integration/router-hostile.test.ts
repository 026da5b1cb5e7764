// router-hostile.test.ts: one client does its worst, and the others of the same partition notice little of it.
import { describe, expect, test } from "vitest";
import { silentLog } from "../../runtime/ports/log.ts";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import {
  pipelined,
  startRouterCluster,
  type RawClient,
  type RouterCluster,
} from "../support/router-cluster.ts";

const REFUSALS = [
  "READONLY x",
  "READONLY You can't write against a read only replica.",
  "LOADING Redis is loading the dataset in memory",
  "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
];

async function counterOf(cluster: RouterCluster): Promise<number> {
  const link = await cluster.servers[0]?.link();
  return Number(await link?.call("GET", "k"));
}

describe.skipIf(isMissing("redis-server"))("a hostile client", () => {
  test.each(REFUSALS)(
    "a script that claims %s runs once, and its caller hears it at once",
    async (text) => {
      const cluster = await startRouterCluster({ partitions: 1 });
      const [hostile, honest] = [await cluster.client(), await cluster.client()];
      const script = `redis.call('incr', KEYS[1]) return redis.error_reply(ARGV[1])`;
      for (let count = 1; count <= 3; count++) {
        const reply = hostile.callArgs(["EVAL", script, "1", "k", text]);
        // Beside it others are served, in their order.
        honest.send(pipelined(["SET a 1", "INCR a", "GET a"]));
        expect(await honest.replies(3)).toEqual(["+OK\r\n", ":2\r\n", "$1\r\n2\r\n"]);
        expect(await reply).toBe(`-${text}\r\n`);
        expect(await counterOf(cluster)).toBe(count);
      }
      // By any way to a script: cached, without writes, a function, in a transaction.
      expect(
        await hostile.callArgs(["EVAL_RO", "return redis.error_reply(ARGV[1])", "1", "k", text]),
      ).toBe(`-${text}\r\n`);
      const sha = await hostile.callArgs(["SCRIPT", "LOAD", script]);
      expect(await hostile.callArgs(["EVALSHA", sha.slice(5, 45), "1", "k", text])).toBe(
        `-${text}\r\n`,
      );
      const library = `#!lua name=mine\nredis.register_function('f', function(keys, args) redis.call('incr', keys[1]) return redis.error_reply(args[1]) end)`;
      expect(await hostile.callArgs(["FUNCTION", "LOAD", library])).toBe("$4\r\nmine\r\n");
      expect(await hostile.callArgs(["FCALL", "f", "1", "k", text])).toBe(`-${text}\r\n`);
      hostile.send(pipelined(["MULTI"]));
      expect(await hostile.reply()).toBe("+OK\r\n");
      expect(await hostile.callArgs(["EVAL", script, "1", "k", text])).toBe("+QUEUED\r\n");
      expect(await hostile.call("EXEC")).toBe(`*1\r\n-${text}\r\n`);
      expect(await counterOf(cluster)).toBe(6);
    },
  );

  test("a script that a fenced master refuses is sent to the next one, as any other command", async () => {
    const cluster = await startRouterCluster({ partitions: 1, replicas: 1 });
    const client = await cluster.client();
    const script = "return redis.call('incr', KEYS[1])";
    expect(await client.callArgs(["EVAL", script, "1", "k"])).toBe(":1\r\n");
    const [master, replica] = [cluster.servers[0], cluster.replicas[0]?.[0]];
    await until("the replica has it", async () => {
      return (await (await replica?.link())?.call("GET", "k")) === null
        ? (await (await replica?.link())?.call("DBSIZE")) === 1
        : true;
    });
    await (await master?.link())?.call("REPLICAOF", "127.0.0.1", 1);
    const replies = ["1", "2", "3"].map((count) =>
      client.callArgs(["EVAL", script, "1", "k", count]),
    );
    await (await replica?.link())?.call("REPLICAOF", "NO", "ONE");
    cluster.view.show([{ port: replica?.port ?? 0, partition: 0 }], [replica?.port ?? 0]);
    expect(await Promise.all(replies)).toEqual([":2\r\n", ":3\r\n", ":4\r\n"]);
  });

  test("replies that are nested deeply, or whose lines are long, end no connection that others share", async () => {
    const cluster = await startRouterCluster({ partitions: 1 });
    const [hostile, honest] = [await cluster.client(), await cluster.client()];
    const deep = "local t = {} for i = 1, 200 do t = {t} end return t";
    const long = "return redis.error_reply('X ' .. string.rep('x', 200000))";
    const status = "return {ok = string.rep('x', 200000)}";
    expect(await honest.call("INCR n")).toBe(":1\r\n");
    const link = await cluster.servers[0]?.link();
    const killed = async (): Promise<string> =>
      /total_connections_received:(\d+)/.exec((await link?.call("INFO", "stats")) as string)?.[1] ??
      "";
    const before = await killed();
    for (const script of [deep, long, status]) {
      const reply = hostile.callArgs(["EVAL_RO", script, "1", "k"]);
      expect(await honest.call("INCR n")).toMatch(/^:\d+\r\n$/);
      expect((await reply).length).toBeGreaterThan(400);
    }
    expect(await killed()).toBe(before);
  });

  test("a pipeline that is written whole before its replies are read is answered whole", async () => {
    const cluster = await startRouterCluster({ partitions: 1 });
    const client = await cluster.client();
    const value = "x".repeat(10_000);
    expect(await client.callArgs(["SET", "a", value])).toBe("+OK\r\n");
    client.socket.pause();
    const count = 3000;
    const command = encodeCommand(["SET", "a", value, "GET"]);
    const all = Buffer.concat(new Array<Buffer>(count).fill(command));
    await new Promise<void>((resolve) => {
      client.socket.write(all, () => {
        resolve();
      });
    });
    client.socket.resume();
    const replies = await client.replies(count);
    expect(new Set(replies)).toEqual(new Set([`$10000\r\n${value}\r\n`]));
  });

  test("one that never reads is closed past output-bytes, and the log names it", async () => {
    const warnings: string[] = [];
    const log = { ...silentLog, warn: (text: string) => void warnings.push(text) };
    const cluster = await startRouterCluster({
      partitions: 1,
      settings: ["output-bytes 1mb"],
      log,
    });
    const [client, honest] = [await cluster.client(), await cluster.client()];
    await client.callArgs(["SET", "a", "x".repeat(100_000)]);
    client.socket.pause();
    client.send(pipelined(new Array<string>(2000).fill("GET a")));
    await until("it is closed", () => warnings.length > 0);
    expect(warnings).toEqual(["a client that doesn't read its replies is closed"]);
    expect(await honest.call("PING")).toBe("+PONG\r\n");
  });

  test("subscribers that don't read are bounded together, the slowest closed first, and one that reads stays", async () => {
    const warnings: string[] = [];
    const log = { ...silentLog, warn: (text: string) => void warnings.push(text) };
    const settings = ["output-bytes-total 8mb"];
    const cluster = await startRouterCluster({ partitions: 1, settings, log });
    const [reader, publisher] = [await cluster.client(), await cluster.client()];
    expect(await reader.call("SUBSCRIBE news")).toContain("subscribe");
    const slow: RawClient[] = [];
    for (let count = 0; count < 8; count++) {
      const client = await cluster.client();
      expect(await client.call("SUBSCRIBE news")).toContain("subscribe");
      client.socket.pause();
      slow.push(client);
    }
    const message = "x".repeat(500_000);
    // The system itself takes several megabytes for each before anything waits in the router.
    for (let count = 1; warnings.length < 3; count++) {
      expect(await publisher.callArgs(["PUBLISH", "news", message])).toMatch(/^:[1-9]/);
      expect(await reader.reply()).toContain(message);
      expect(count).toBeLessThan(200);
    }
    expect(new Set(warnings)).toEqual(
      new Set(["clients leave too much unread: the slowest one is closed"]),
    );
    expect(await publisher.callArgs(["PUBLISH", "news", "bye"])).toMatch(/^:[1-9]/);
    expect(await reader.reply()).toContain("bye");
  });

  test("an array of less than nothing is a command of nothing, as in Redis", async () => {
    const client = await (await startRouterCluster({ partitions: 1 })).client();
    client.send("*-10\r\n*-1\r\n*0\r\n*1\r\n$4\r\nPING\r\n");
    expect(await client.reply()).toBe("+PONG\r\n");
  });

  test("a reader of a stream that is deleted hears why, and does not wait on", async () => {
    const cluster = await startRouterCluster({ partitions: 1 });
    const [reader, writer] = [await cluster.client(), await cluster.client()];
    await writer.call("XGROUP CREATE s g $ MKSTREAM");
    const link = await cluster.servers[0]?.link();
    reader.send(pipelined(["XREADGROUP GROUP g c BLOCK 0 STREAMS s >"]));
    await until(
      "it waits",
      async () =>
        ((await link?.call("INFO", "clients")) as string | undefined)?.includes(
          "blocked_clients:1",
        ) === true,
    );
    await writer.call("DEL s");
    expect(await reader.reply()).toMatch(/^-UNBLOCKED the stream key no longer exists/);
  });

  test("a script that names no key and would write hears what to do", async () => {
    const client = await (await startRouterCluster({ partitions: 2 })).client();
    const library = "#!lua name=mine\nredis.register_function('f', function() return 1 end)";
    expect(await client.callArgs(["FUNCTION", "LOAD", library])).toBe("$4\r\nmine\r\n");
    const hint = /^-ERR twine: a script or function that names no key/;
    expect(await client.callArgs(["FCALL", "f", "0"])).toMatch(hint);
    expect(await client.callArgs(["EVAL", "return redis.call('set', 'a', 1)", "0"])).toMatch(hint);
    expect(await client.callArgs(["EVAL", "return 1", "0"])).toBe(":1\r\n");
  });
});
