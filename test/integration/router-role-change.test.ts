// router-role-change.test.ts: a node changes its role while a client's pipeline is on its way to it, and the router doesn't
// know yet. What the node refused is sent again, and the client must not see that: neither in a read nor in an order.
import { connect, createServer, type Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { RequestSplitter } from "../../runtime/resp/request-splitter.ts";
import { isMissing } from "../support/programs.ts";
import { freePort, startRedis, until } from "../support/redis-server.ts";
import { pipelined, startRouterCluster, type RouterCluster } from "../support/router-cluster.ts";

/** The cluster's only server is master no more, follows another one and is in sync with it; the view does not say so. */
async function demoteUnseen(cluster: RouterCluster) {
  const old = await cluster.servers[0]?.link();
  const master = await startRedis(["repl-diskless-sync-delay 0"]);
  await (await master.link()).call("SET", "f", "0");
  await old?.call("REPLICAOF", "127.0.0.1", String(master.port));
  await until("it is in sync", async () =>
    JSON.stringify(await old?.call("INFO", "replication")).includes("master_link_status:up"),
  );
  return master;
}

/**
 * A port in front of a server that lets connections through command by command: each waits for the reply to the one
 * before, and `between` is called at each step with the command's name.
 */
async function stepwise(port: number, between: (name: string) => Promise<void>): Promise<number> {
  const sockets: Socket[] = [];
  const server = createServer((client) => {
    const node = connect({ host: "127.0.0.1", port, noDelay: true });
    sockets.push(client, node);
    const splitter = new RequestSplitter();
    let answered = (): void => undefined;
    let turn = Promise.resolve();
    const pass = async (command: Buffer, name: string): Promise<void> => {
      await between(name);
      const answer = new Promise<void>((resolve) => (answered = resolve));
      node.write(command);
      await answer;
    };
    client.on("data", (chunk) => {
      splitter.push(chunk);
      for (let request = splitter.next(); request !== undefined; request = splitter.next()) {
        const [command, name] = [Buffer.from(request.raw), String(request.args[0])];
        turn = turn.then(() => pass(command, name));
      }
    });
    node.on("data", (chunk) => {
      client.write(chunk);
      answered();
    });
    for (const socket of [client, node]) socket.on("error", () => undefined);
  });
  const own = await freePort();
  await new Promise<void>((resolve) => server.listen(own, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return own;
}

describe.skipIf(isMissing("redis-server"))("a node that changes its role unseen", () => {
  test.each([0, 1])(
    "a read behind a write that was refused is not answered by the node that refused it, ack-replicas %i",
    async (acks) => {
      const settings = [`ack-replicas ${acks}`];
      const cluster = await startRouterCluster({ partitions: 1, replicas: acks, settings });
      const client = await cluster.client();
      const master = await demoteUnseen(cluster);
      client.send(pipelined(["GET f", "SET f 1", "GET f", "INCR f", "GET f"]));
      expect(await client.reply()).toBe("$1\r\n0\r\n");
      cluster.view.show([{ port: master.port, partition: 0 }], [master.port]);
      expect(await client.replies(4)).toEqual(["+OK\r\n", "$1\r\n1\r\n", ":2\r\n", "$1\r\n2\r\n"]);
    },
  );

  test("one that becomes master in the midst of a pipeline does not turn its order round", async () => {
    const cluster = await startRouterCluster({ partitions: 1 });
    const [server] = cluster.servers;
    const link = await server?.link();
    await link?.call("REPLICAOF", "127.0.0.1", "1");
    const seen: string[] = [];
    const port = await stepwise(server?.port ?? 0, async (name) => {
      // The first write was refused: now it is made master, and the second one would be done.
      if (name === "RPUSH" && seen.push(name) === 2) await link?.call("REPLICAOF", "NO", "ONE");
    });
    cluster.view.show([], [null]);
    const client = await cluster.client();
    client.send(pipelined(["RPUSH l 1", "RPUSH l 2", "RPUSH l 3", "LRANGE l 0 -1"]));
    expect(await (await cluster.client()).call("PING")).toBe("+PONG\r\n");
    cluster.view.show([{ port, partition: 0 }], [port]);
    const list = "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n";
    expect(await client.replies(4)).toEqual([":1\r\n", ":2\r\n", ":3\r\n", list]);
  });
});
