// router-transactions-failover.test.ts: what becomes of MULTI, EXEC and WATCH through the router when a master dies, is
// paused, is replaced or can't be confirmed.
import { describe, expect, test } from "vitest";
import type { RedisLink } from "../../runtime/ports/redis-link.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import {
  pipelined,
  promoteReplica,
  startRouterCluster,
  type RawClient,
} from "../support/router-cluster.ts";

async function replyCount(client: RawClient, commands: readonly string[]): Promise<string[]> {
  client.send(pipelined(commands));
  return client.replies(commands.length);
}

describe.skipIf(isMissing("redis-server"))("transactions while a master dies", () => {
  test("one that was not sent is held and executed once at the new master", async () => {
    const cluster = await startRouterCluster({ partitions: 1, replicas: 1 });
    const [client, other] = [await cluster.client(), await cluster.client()];
    client.send(pipelined(["SET n 1", "MULTI", "INCR n"]));
    await client.replies(3);
    await cluster.servers[0]?.kill();
    cluster.view.show([], [null]);
    client.send(pipelined(["INCR n", "EXEC", "GET n"]));
    expect(await client.reply()).toBe("+QUEUED\r\n");
    expect(await other.call("PING")).toBe("+PONG\r\n");
    await promoteReplica(cluster);
    expect(await client.replies(2)).toEqual(["*2\r\n:2\r\n:3\r\n", "$1\r\n3\r\n"]);
  });

  test("one that was on the wire has an unknown fate, and the client hears that", async () => {
    const cluster = await startRouterCluster({ partitions: 1, replicas: 1 });
    const client = await cluster.client();
    await client.call("SET n 1");
    await replyCount(client, ["MULTI", "INCR n", "EXEC"]);
    cluster.servers[0]?.signal("SIGSTOP");
    client.send(pipelined(["MULTI", "INCR n", "EXEC", "GET n"]));
    await client.replies(2);
    await cluster.servers[0]?.kill();
    await promoteReplica(cluster);
    expect(await client.reply()).toMatch(
      /^-UNCERTAIN [\w-]+ of partition 0 gave no reply, the command may have been executed/,
    );
    expect(await client.reply()).toBe("$1\r\n2\r\n");
  });

  test("one that only reads is repeated, and with retry-unknown idempotent one that may be done twice", async () => {
    for (const [settings, commands, reply] of [
      [[], ["MULTI", "GET n", "STRLEN n", "EXEC"], "*2\r\n$1\r\n1\r\n:1\r\n"],
      [
        ["retry-unknown idempotent"],
        ["MULTI", "SET n 2", "GET n", "EXEC"],
        "*2\r\n+OK\r\n$1\r\n2\r\n",
      ],
      [["retry-unknown idempotent"], ["MULTI", "SET n 2", "INCR n", "EXEC"], "-UNCERTAIN "],
    ] as const) {
      const cluster = await startRouterCluster({ partitions: 1, replicas: 1, settings });
      const client = await cluster.client();
      await client.call("SET n 1");
      await replyCount(client, ["MULTI", "GET n", "EXEC"]);
      cluster.servers[0]?.signal("SIGSTOP");
      client.send(pipelined(commands));
      await client.replies(3);
      await cluster.servers[0]?.kill();
      await promoteReplica(cluster);
      expect((await client.reply()).slice(0, reply.length)).toBe(reply);
      await cluster.close();
    }
  });

  test("one that only reads and that no node survives is tried at a second node, and not at a third", async () => {
    const cluster = await startRouterCluster({ partitions: 1, replicas: 2 });
    const [client, other] = [await cluster.client(), await cluster.client()];
    const [second, third] = cluster.replicas[0] ?? [];
    expect(await client.call("MULTI")).toBe("+OK\r\n");
    // A server that runs a script accepts no new connection's first command for 5 s.
    const links = new Map<unknown, RedisLink>();
    for (const server of [cluster.servers[0], second, third]) {
      if (server !== undefined) links.set(server, await server.link());
    }
    const endless = ["EVAL_RO", "while true do end", "1", "n"];
    expect(await client.callArgs(endless)).toBe("+QUEUED\r\n");
    const reply = client.call("EXEC");
    for (const [server, next] of [
      [cluster.servers[0], second],
      [second, third],
    ] as const) {
      const link = links.get(server);
      await until("it runs the script", async () => {
        const found = (await link?.call("PING").catch(String)) as string | undefined;
        return found?.includes("BUSY") === true;
      });
      await server?.kill();
      await links.get(next)?.call("REPLICAOF", "NO", "ONE");
      const port = next?.port ?? 0;
      cluster.view.show([{ port, partition: 0 }], [port]);
    }
    expect(await reply).toMatch(/^-TWINEDOWN /);
    expect(await other.call("SET n 1")).toBe("+OK\r\n");
    const stats = await links.get(third)?.call("INFO", "commandstats");
    expect(stats).not.toContain("cmdstat_eval_ro");
  });

  test("a master that was paused through its replacement executes nothing of it when it wakes", async () => {
    const cluster = await startRouterCluster({ partitions: 1, replicas: 1 });
    const client = await cluster.client();
    const old = cluster.servers[0];
    await client.call("SET n 1");
    await replyCount(client, ["WATCH n", "MULTI", "INCR n", "EXEC"]);
    await client.call("WATCH n");
    old?.signal("SIGSTOP");
    await promoteReplica(cluster);
    expect(await replyCount(client, ["MULTI", "INCR n", "EXEC"])).toEqual([
      ...["+OK\r\n", "+QUEUED\r\n", "*-1\r\n"],
    ]);
    old?.signal("SIGCONT");
    expect(await (await old?.link())?.call("GET", "n")).toBe("2");
    expect(await client.call("GET n")).toBe("$1\r\n2\r\n");
  });

  test("what a paused master still holds is ended there before anything newer is sent", async () => {
    const cluster = await startRouterCluster({ partitions: 1 });
    const clients = await Promise.all(Array.from({ length: 20 }, () => cluster.client()));
    const [server] = cluster.servers;
    const node = { port: server?.port ?? 0, partition: 0 };
    // Each has a connection that watches, so there is one for each when the server is paused.
    for (const client of clients) expect(await client.call("WATCH other")).toBe("+OK\r\n");
    for (const client of clients) expect(await client.call("UNWATCH")).toBe("+OK\r\n");
    await until("none of them watches any more", async () => {
      const list = (await (await server?.link())?.call("CLIENT", "LIST")) as string;
      return (list.match(/cmd=unwatch/g) ?? []).length === clients.length;
    });
    server?.signal("SIGSTOP");
    for (const client of clients) client.send(pipelined(["MULTI", "INCR n", "EXEC"]));
    for (const client of clients) await client.replies(2);
    cluster.view.show([node], [null]);
    for (const client of clients) expect(await client.reply()).toMatch(/^-UNCERTAIN /);
    cluster.view.show([node], [node.port]);
    for (const client of clients) client.send(pipelined(["MULTI", "SET n 100", "EXEC"]));
    server?.signal("SIGCONT");
    for (const client of clients) expect((await client.replies(3))[2]).toBe("*1\r\n+OK\r\n");
    expect(await clients[0]?.call("GET n")).toBe("$3\r\n100\r\n");
    const link = await server?.link();
    const stats = (await link?.call("INFO", "commandstats")) as string;
    expect(Number(/cmdstat_client\|kill:calls=(\d+)/.exec(stats)?.[1])).toBeGreaterThanOrEqual(20);
  });

  test("a WATCH does not outlive its master: EXEC gives nil, and works when it is tried anew", async () => {
    const cluster = await startRouterCluster({ partitions: 1, replicas: 1 });
    const clients = await Promise.all([cluster.client(), cluster.client(), cluster.client()]);
    const [killed, moved, unsure] = clients;
    for (const client of clients) {
      await client.call("SET n 1");
      await client.call("WATCH n");
    }
    // A router that can't be sure of its view can't be sure of what it watches.
    cluster.view.confirm(false);
    expect((await replyCount(unsure, ["MULTI", "INCR n", "EXEC"]))[2]).toBe("*-1\r\n");
    cluster.view.confirm(true);
    await cluster.servers[0]?.kill();
    expect((await replyCount(killed, ["MULTI", "INCR n", "EXEC"]))[2]).toBe("*-1\r\n");
    await promoteReplica(cluster);
    expect((await replyCount(moved, ["MULTI", "INCR n", "EXEC"]))[2]).toBe("*-1\r\n");
    for (const [index, client] of clients.entries()) {
      const replies = await replyCount(client, ["WATCH n", "MULTI", "INCR n", "EXEC"]);
      expect(replies[3]).toBe(`*1\r\n:${index + 2}\r\n`);
    }
  });

  test("a node that turns out to be a replica has executed nothing: it is sent to the master", async () => {
    const cluster = await startRouterCluster({ partitions: 1, replicas: 1 });
    const client = await cluster.client();
    const [old, replica] = [cluster.servers[0], cluster.replicas[0]?.[0]];
    await client.call("SET n 1");
    await replyCount(client, ["MULTI", "INCR n", "EXEC"]);
    await (await replica?.link())?.call("REPLICAOF", "NO", "ONE");
    const link = await old?.link();
    await link?.call("REPLICAOF", "127.0.0.1", replica?.port ?? 0);
    client.send(pipelined(["MULTI", "INCR n", "EXEC"]));
    await client.replies(2);
    await until("it was refused there", async () => {
      const stats = (await link?.call("INFO", "errorstats")) as string;
      return stats.includes("errorstat_READONLY") || stats.includes("errorstat_EXECABORT");
    });
    cluster.view.show([{ port: replica?.port ?? 0, partition: 0 }], [replica?.port ?? 0]);
    expect(await client.reply()).toBe("*1\r\n:3\r\n");
  });

  test("with ack-replicas a transaction is acknowledged when the replica has it, or says that it hasn't", async () => {
    const settings = ["ack-replicas 1", "ack-timeout 1s"];
    const cluster = await startRouterCluster({ partitions: 1, replicas: 1, settings });
    const client = await cluster.client();
    const replica = cluster.replicas[0]?.[0];
    const link = await replica?.link();
    for (let round = 1; round <= 100; round++) {
      const replies = await replyCount(client, ["MULTI", "INCR n", "SET last 1", "EXEC"]);
      expect(replies[3]).toBe(`*2\r\n:${round}\r\n+OK\r\n`);
      expect(await link?.call("GET", "n")).toBe(String(round));
    }
    replica?.signal("SIGSTOP");
    const replies = await replyCount(client, ["MULTI", "INCR n", "EXEC", "MULTI", "GET n", "EXEC"]);
    expect(replies[2]).toBe("-UNDERREPLICATED held by 0 of 1\r\n");
    expect(replies[5]).toBe("*1\r\n$3\r\n101\r\n");
    replica?.signal("SIGCONT");
  });

  test("a counter that ten clients raise by WATCH is exact over a master's death", async () => {
    // Method: each reads under WATCH and writes the next number; what was acknowledged must be in the counter, and only
    // an UNCERTAIN may be there besides.
    const settings = ["ack-replicas 1", "ack-timeout 5s"];
    const cluster = await startRouterCluster({ partitions: 1, replicas: 2, settings });
    const state = { acknowledged: 0, uncertain: 0, nils: 0, isOver: false };
    const raise = async (): Promise<void> => {
      const client = await cluster.client();
      while (!state.isOver) {
        await client.call("WATCH n");
        const seen = Number(/\r\n(\d+)\r\n/.exec(await client.call("GET n"))?.[1] ?? 0);
        const [, , reply = ""] = await replyCount(client, ["MULTI", `SET n ${seen + 1}`, "EXEC"]);
        if (reply === "*1\r\n+OK\r\n") state.acknowledged++;
        else if (reply === "*-1\r\n") state.nils++;
        else {
          expect(reply).toMatch(/^-(UNCERTAIN|UNDERREPLICATED) /);
          state.uncertain++;
        }
      }
    };
    const raisers = Array.from({ length: 10 }, raise);
    await until("they are at work", () => state.acknowledged > 200);
    await cluster.servers[0]?.kill();
    // The one that has more takes over, as a monitor would choose.
    const [first, second] = cluster.replicas[0] ?? [];
    if (first === undefined || second === undefined) throw new Error("no replicas");
    const offsets: number[] = [];
    for (const replica of [first, second]) {
      const info = (await (await replica.link()).call("INFO", "replication")) as string;
      offsets.push(Number(/slave_repl_offset:(\d+)/.exec(info)?.[1]));
    }
    const [best, other] =
      (offsets[0] ?? 0) >= (offsets[1] ?? 0) ? [first, second] : [second, first];
    await (await best.link()).call("REPLICAOF", "NO", "ONE");
    await (await other.link()).call("REPLICAOF", "127.0.0.1", best.port);
    const nodes = [best, other].map(({ port }) => ({ port, partition: 0 }));
    cluster.view.show(nodes, [best.port]);
    const before = state.acknowledged;
    await until("they go on", () => state.acknowledged > before + 200);
    state.isOver = true;
    await Promise.all(raisers);
    const link = await best.link();
    const total = Number(await link.call("GET", "n"));
    expect(total).toBeGreaterThanOrEqual(state.acknowledged);
    expect(total).toBeLessThanOrEqual(state.acknowledged + state.uncertain);
    expect(state.nils).toBeGreaterThan(0);
  });
});
