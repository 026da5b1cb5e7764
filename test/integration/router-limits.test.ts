// What one client of a router may cost: how many clients there are, how long a command may be, how much may wait for a
// client that doesn't read, how long it may say nothing.
import { describe, expect, test } from "vitest";
import type { Log } from "../../runtime/ports/log.ts";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { RawClient, startRouterCluster, type RouterCluster } from "../support/router-cluster.ts";

/** Resolves when the router has closed the connection. */
function closed(client: RawClient): Promise<void> {
  return until("the connection is closed", () => client.socket.destroyed);
}

function warningsInto(warnings: string[]): Log {
  const log: Log = {
    debug: () => undefined,
    info: () => undefined,
    warn: (text) => warnings.push(text),
    error: () => undefined,
  };
  return log;
}

async function connectionsOf({ servers }: RouterCluster): Promise<number> {
  const link = await servers[0]?.link();
  const info = (await link?.call("INFO", "clients")) as string;
  return Number(/connected_clients:(\d+)/.exec(info)?.[1]);
}

describe.skipIf(isMissing("redis-server"))("a router's limits", () => {
  test("one client too many is told so as Redis tells it, and the place of one that leaves is free", async () => {
    const cluster = await startRouterCluster({ settings: ["max-clients 2"] });
    const [one, two] = [await cluster.client(), await cluster.client()];
    expect(await one.call("PING")).toBe("+PONG\r\n");
    expect(await two.call("PING")).toBe("+PONG\r\n");
    const third = await RawClient.open(cluster.port);
    expect(await third.reply()).toBe("-ERR max number of clients reached\r\n");
    await closed(third);
    one.socket.destroy();
    await until("the next one is let in", async () => {
      const next = await RawClient.open(cluster.port);
      const reply = await next.call("PING");
      next.socket.destroy();
      return reply === "+PONG\r\n";
    });
    expect(await two.call("PING")).toBe("+PONG\r\n");
  });

  test.each([
    ["a nested array", "*1\r\n*1\r\n$4\r\nPING\r\n", "expected '$', got '*'"],
    ["too many arguments", "*17\r\n", "invalid multibulk length"],
    ["an argument that is too long", "*2\r\n$3\r\nGET\r\n$16385\r\n", "invalid bulk length"],
    ["arguments too long together", "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$16384\r\n", "too big command"],
    ["a length that is none", "*2\r\n$3\r\nGET\r\n$x\r\n", "invalid bulk length"],
    ["an inline command without an end", "a".repeat(70_000), "too big inline request"],
    ["a quote without an end", 'GET "a\r\n', "unbalanced quotes in request"],
  ])("%s is a protocol error that ends the connection", async (_, bytes, said) => {
    const cluster = await startRouterCluster({
      partitions: 1,
      settings: ["command-bytes 16kb", "command-args 16"],
    });
    const [bad, good] = [await cluster.client(), await cluster.client()];
    expect(await good.call("SET a 1")).toBe("+OK\r\n");
    // What was asked before is answered before.
    bad.send(Buffer.concat([encodeCommand(["GET", "a"]), Buffer.from(bytes)]));
    expect(await bad.reply()).toBe("$1\r\n1\r\n");
    expect(await bad.reply()).toBe(`-ERR Protocol error: ${said}\r\n`);
    await closed(bad);
    expect(await good.call("GET a")).toBe("$1\r\n1\r\n");
  });

  test("errors that are no protocol errors leave the connection open", async () => {
    const cluster = await startRouterCluster({ partitions: 1 });
    const one = await cluster.client();
    for (const command of ["NONSENSE", "GET", "SET a", "MIGRATE a b", "HELLO 9"]) {
      expect(await one.call(command)).toMatch(/^-/);
    }
    one.send("\r\n\r\n*0\r\n*-1\r\n");
    expect(await one.call("PING")).toBe("+PONG\r\n");
  });

  test("a client that sends on after its protocol error costs no memory and is cut off", async () => {
    const cluster = await startRouterCluster({ partitions: 1 });
    const bad = await cluster.client();
    bad.send("*1\r\n*1\r\n");
    expect(await bad.reply()).toMatch(/^-ERR Protocol error/);
    const junk = Buffer.alloc(64 * 1024, "x");
    // It neither ends its side nor stops: the router does.
    const flood = setInterval(() => bad.socket.write(junk), 5);
    await closed(bad);
    clearInterval(flood);
  });

  test("a client that reads nothing is closed at output-bytes, and nobody else notices", async () => {
    const warnings: string[] = [];
    const cluster = await startRouterCluster({
      partitions: 2,
      settings: ["output-bytes 1mb"],
      log: warningsInto(warnings),
    });
    const [greedy, other] = [await cluster.client(), await cluster.client()];
    const value = "v".repeat(400_000);
    expect(await greedy.callArgs(["SET", "big", value])).toBe("+OK\r\n");
    greedy.socket.pause();
    const asked = encodeCommand(["GET", "big"]);
    greedy.send(Buffer.concat(Array.from({ length: 500 }, () => asked)));
    await until("the router says that it closes it", () => warnings.length > 0);
    expect(warnings).toEqual(["a client that doesn't read its replies is closed"]);
    expect(await other.call("STRLEN big")).toBe(":400000\r\n");
    greedy.socket.resume();
    await closed(greedy);
  });

  test("a client that reads as fast as it can is not closed, however long a pipeline's first replies are", async () => {
    const cluster = await startRouterCluster({ partitions: 1, settings: ["output-bytes 1mb"] });
    const [writer, reader] = [await cluster.client(), await cluster.client()];
    await writer.call("SETRANGE big 3999999 x");
    const asked = encodeCommand(["GET", "big"]);
    reader.send(Buffer.concat(Array.from({ length: 50 }, () => asked)));
    for (let count = 0; count < 50; count++) expect((await reader.reply()).length).toBe(4_000_012);
  });

  test("one reply longer than output-bytes passes", async () => {
    const cluster = await startRouterCluster({ partitions: 1, settings: ["output-bytes 64kb"] });
    const one = await cluster.client();
    const value = "v".repeat(3_000_000);
    expect(await one.callArgs(["SET", "big", value])).toBe("+OK\r\n");
    expect(await one.call("GET big")).toBe(`$3000000\r\n${value}\r\n`);
    // And those who read may have many of them.
    const asked = encodeCommand(["GET", "big"]);
    one.send(Buffer.concat(Array.from({ length: 20 }, () => asked)));
    for (let count = 0; count < 20; count++) {
      expect((await one.reply()).length).toBe(3_000_012);
    }
  });

  test("a slow reader of long replies is slowed down and not closed", async () => {
    // Method: 600 replies of 100 kB are asked for at once, 60 MB at a limit of 8 MB; the client reads them in gulps.
    const cluster = await startRouterCluster({ partitions: 2, settings: ["output-bytes 8mb"] });
    const one = await cluster.client();
    await one.callArgs(["SET", "big", "v".repeat(100_000)]);
    const asked = encodeCommand(["GET", "big"]);
    // The router has seen how long its replies are.
    for (let count = 0; count < 20; count++) await one.call("GET big");
    one.send(Buffer.concat(Array.from({ length: 600 }, () => asked)));
    let isPaused = false;
    const gulps = setInterval(() => {
      isPaused = !isPaused;
      if (isPaused) one.socket.pause();
      else one.socket.resume();
    }, 2);
    for (let count = 0; count < 600; count++) expect((await one.reply()).length).toBe(100_011);
    clearInterval(gulps);
  });

  test("a client that says nothing for idle-timeout is closed, one that speaks is not", async () => {
    const cluster = await startRouterCluster({
      partitions: 1,
      settings: ["idle-timeout 300ms"],
    });
    const [silent, speaking] = [await cluster.client(), await cluster.client()];
    expect(await silent.call("PING")).toBe("+PONG\r\n");
    await until("the silent one is closed", async () => {
      expect(await speaking.call("PING")).toBe("+PONG\r\n");
      return silent.socket.destroyed;
    });
    expect(await speaking.call("PING")).toBe("+PONG\r\n");
  });

  test("the time that a client has waited for its reply is no silence of its own", async () => {
    const cluster = await startRouterCluster({
      partitions: 1,
      settings: ["idle-timeout 300ms"],
    });
    const one = await cluster.client();
    expect(await one.call("BLPOP nothing 1")).toBe("*-1\r\n");
    expect(await one.call("PING")).toBe("+PONG\r\n");
  });

  test("a client that waits for a held request is not idle", async () => {
    const cluster = await startRouterCluster({
      partitions: 1,
      settings: ["idle-timeout 1s", "hold-for 3s"],
    });
    const one = await cluster.client();
    const port = cluster.servers[0]?.port ?? 0;
    cluster.view.show([{ port, partition: 0 }], [null]);
    expect(await one.call("SET a 1")).toMatch(/^-TWINEDOWN /);
  });

  test("clients that come and go leave nothing behind at the nodes", async () => {
    const cluster = await startRouterCluster({ partitions: 1 });
    const first = await cluster.client();
    await first.call("PING");
    await first.call("GET a");
    const before = await connectionsOf(cluster);
    for (let round = 0; round < 50; round++) {
      const client = await cluster.client();
      expect(await client.call("GET a")).toBe("$-1\r\n");
      client.socket.destroy();
    }
    expect(await connectionsOf(cluster)).toBeLessThanOrEqual(before + 1);
  });
});
