// The end of a router, and its change while it runs: what is on the way is answered, and no connection breaks.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, onTestFinished, test } from "vitest";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { binPath } from "../support/bins.ts";
import { isMissing } from "../support/programs.ts";
import { freePort } from "../support/port-claims.ts";
import { until } from "../support/redis-server.ts";
import { RawClient, startRouterCluster } from "../support/router-cluster.ts";
import { routerFolder } from "../support/router-files.ts";

describe.skipIf(isMissing("redis-server"))("a router that ends", () => {
  test("answers what is on the way to a silent node, and takes nobody new", async () => {
    const cluster = await startRouterCluster({ partitions: 1, settings: ["drain-for 20s"] });
    const [busy, idle] = [await cluster.client(), await cluster.client()];
    await busy.call("SET a 1");
    await idle.call("PING");
    cluster.servers[0]?.signal("SIGSTOP");
    const asked = encodeCommand(["INCR", "a"]);
    busy.send(Buffer.concat(Array.from({ length: 10 }, () => asked)));
    // What the router has not read yet may be lost: a later client's answer shows that it has.
    expect(await idle.call("PING")).toBe("+PONG\r\n");
    const ended = cluster.drain();
    await until("the idle client is let go", () => idle.socket.destroyed);
    await expect(RawClient.open(cluster.port)).rejects.toThrow(/ECONNREFUSED/);
    expect(busy.socket.destroyed).toBe(false);
    cluster.servers[0]?.signal("SIGCONT");
    for (let count = 2; count <= 11; count++) expect(await busy.reply()).toBe(`:${count}\r\n`);
    await ended;
    await until("the busy client's connection is closed", () => busy.socket.destroyed);
  });

  test("never leaves a client of many that ask all the time with a reply that it missed", async () => {
    // Method: 20 clients each count up a key of their own, one command after the other; the router ends meanwhile; what
    // each was told is what its key holds, or one less when its last command was not answered.
    const cluster = await startRouterCluster({ partitions: 2 });
    const told = new Map<number, number>();
    const work = async (id: number): Promise<void> => {
      const client = await cluster.client();
      for (;;) {
        const reply = await client.call(`INCR count:${id}`);
        if (reply === "closed") return;
        expect(reply).toBe(`:${(told.get(id) ?? 0) + 1}\r\n`);
        told.set(id, (told.get(id) ?? 0) + 1);
      }
    };
    const working = Array.from({ length: 20 }, (_, id) => work(id));
    await until("all of them are at work", () => told.size === 20);
    await cluster.drain();
    await Promise.all(working);
    let extra = 0;
    for (const [partition, server] of cluster.servers.entries()) {
      const link = await server.link();
      await link.call("SELECT", partition);
      for (const [id, count] of told) {
        const held = Number((await link.call("GET", `count:${id}`)) ?? count);
        expect(held).toBeGreaterThanOrEqual(count);
        extra += held - count;
      }
    }
    // Nothing was done that nobody was told of: a command is taken and answered, or not taken.
    expect(extra).toBe(0);
  });

  test("cuts off after drain-for whoever takes no leave", async () => {
    const cluster = await startRouterCluster({ partitions: 1, settings: ["drain-for 300ms"] });
    const busy = await cluster.client();
    await busy.call("SET a 1");
    cluster.servers[0]?.signal("SIGSTOP");
    busy.send(encodeCommand(["GET", "a"]));
    const half = await cluster.client();
    half.send("*2\r\n$3\r\nGET\r\n");
    await cluster.drain();
    await until("both are gone", () => busy.socket.destroyed && half.socket.destroyed);
    cluster.servers[0]?.signal("SIGCONT");
  });

  test("lets subscribers go at once", async () => {
    const cluster = await startRouterCluster({ partitions: 1, settings: ["drain-for 20s"] });
    const client = await cluster.client();
    expect(await client.call("SUBSCRIBE news")).toMatch(/subscribe/);
    await cluster.drain();
    await until("it is let go", () => client.socket.destroyed);
  });
});

describe.skipIf(isMissing("redis-server"))("a router whose twine.conf changes", () => {
  test("takes limits and keeps every connection", async () => {
    const cluster = await startRouterCluster({ partitions: 2, settings: ["max-clients 10"] });
    const clients = [await cluster.client(), await cluster.client(), await cluster.client()];
    for (const client of clients) expect(await client.call("PING")).toBe("+PONG\r\n");
    // In the middle of a command.
    clients[0]?.send("*3\r\n$3\r\nSET\r\n$1\r\na\r\n");
    const changed = ["max-clients 3", "command-bytes 16kb", "read-from replica"];
    expect(await cluster.reload(changed)).toEqual([]);
    clients[0]?.send("$1\r\n1\r\n");
    expect(await clients[0]?.reply()).toBe("+OK\r\n");
    for (const client of clients) expect(await client.call("GET a")).toBe("$1\r\n1\r\n");
    const fourth = await RawClient.open(cluster.port);
    expect(await fourth.reply()).toBe("-ERR max number of clients reached\r\n");
    clients[1]?.send("*2\r\n$3\r\nGET\r\n$20000\r\n");
    expect(await clients[1]?.reply()).toBe("-ERR Protocol error: invalid bulk length\r\n");
  });

  test("holds requests by the new hold-for", async () => {
    const cluster = await startRouterCluster({ partitions: 1, settings: ["hold-for 1h"] });
    const port = cluster.servers[0]?.port ?? 0;
    const client = await cluster.client();
    await client.call("SET a 1");
    expect(await cluster.reload(["hold-for 100ms"])).toEqual([]);
    cluster.view.show([{ port, partition: 0 }], [null]);
    expect(await client.call("SET a 2")).toMatch(/^-TWINEDOWN /);
  });

  test("says what has to wait for a restart", async () => {
    const cluster = await startRouterCluster({ partitions: 1, settings: ["lease 200ms"] });
    const changed = ["lease 300ms", "workers 2", "hash crc16", "s9=status 6399 0"];
    expect(await cluster.reload(changed)).toEqual([
      "partitions, hash and hash-tag",
      "lease",
      "workers",
      "the status nodes",
    ]);
    const client = await cluster.client();
    expect(await client.call("SET a 1")).toBe("+OK\r\n");
  });
});

describe("the process twine-router", () => {
  test("takes twine.conf at SIGHUP, says what is wrong with it, and ends at SIGTERM", async () => {
    // Method: no node is there, so what the router says itself shows that it lives and keeps its client.
    const folder = await routerFolder();
    const [port, data, status] = [await freePort(), await freePort(), await freePort()];
    const lines = [`r1=router ${port}`, `a1=data 0 ${data} 0`, `s1=status ${status} 0`];
    const conf = await folder.write("twine.conf", lines.join("\n"));
    const program = binPath("twine-router", "runtime");
    const child = spawn(process.execPath, [program, "r1", "--conf", conf]);
    onTestFinished(() => void child.kill("SIGKILL"));
    let said = "";
    child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
    await until("it has started", () => said.includes('"started"'));
    const client = await RawClient.open(port);
    expect(await client.call("PING")).toBe("+PONG\r\n");
    await folder.write("twine.conf", [...lines, "max-clients none", "drain-for 3"].join("\n"));
    child.kill("SIGHUP");
    await until("it says what is wrong", () => said.includes("CONF_BAD_DURATION"));
    expect(said).toContain(`not taken: ${conf}:4:13: max-clients is 'none'`);
    expect(said).toContain(`not taken: ${conf}:5:11: '3' is no duration for drain-for`);
    await folder.write("twine.conf", [...lines, "max-clients 1", "workers 2"].join("\n"));
    child.kill("SIGHUP");
    await until("it says what waits", () => said.includes('"waiting":["workers"]'));
    expect(said).toContain("twine.conf is read anew");
    const second = await RawClient.open(port);
    expect(await second.reply()).toBe("-ERR max number of clients reached\r\n");
    expect(await client.call("PING")).toBe("+PONG\r\n");
    const exit = once(child, "exit");
    child.kill("SIGTERM");
    expect(await exit).toEqual([0, null]);
    client.socket.destroy();
  });
});
