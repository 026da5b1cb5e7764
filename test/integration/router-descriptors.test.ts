// router-descriptors.test.ts: a router that may open few files: clients can't take the ones that it needs for a new master.
import { describe, expect, test } from "vitest";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { RawClient } from "../support/router-cluster.ts";
import { RouterProcess } from "../support/router-process.ts";

const FULL = "-ERR max number of clients reached\r\n";

/** Connects until the router takes no more; gives those that it took. */
async function fill(router: RouterProcess): Promise<RawClient[]> {
  const taken: RawClient[] = [];
  for (;;) {
    const client = await router.client();
    const reply = await client.call("PING");
    if (reply !== "+PONG\r\n") {
      // In the moment between the two the connection may be reset: the error is lost then.
      expect([FULL, "closed"]).toContain(reply);
      return taken;
    }
    taken.push(client);
  }
}

/** A client that is let in and gets this reply; those of before may still be leaving. */
async function newClientGets(router: RouterProcess, command: string, reply: string): Promise<void> {
  await until(`a new client gets ${reply.trim()}`, async () => {
    const client = await router.client();
    const got = await client.call(command);
    client.socket.destroy();
    return got === reply;
  });
}

describe.skipIf(isMissing("redis-server"))("a router under ulimit -n 256", () => {
  test("lowers max-clients and says so, and reaches a new master while clients hold all that they can", async () => {
    const router = await RouterProcess.start({ partitions: 1, nodes: 2, openFilesMax: 256 });
    const { cluster } = router;
    expect(router.log).toMatch(
      /max-clients 10000 is lowered to \d+: this process may open 256 files; raise the limit \(ulimit -n/,
    );
    const lowered = Number(/"lowered":(\d+)/.exec(router.log)?.[1]);
    expect(lowered).toBeLessThan(128);
    const clients = await fill(router);
    expect(clients.length).toBe(lowered);
    // Each takes a second descriptor: a connection of its own to the node.
    for (const client of clients.slice(1)) client.send(encodeCommand(["BLPOP", "nothing", "0"]));
    const [old, next] = [cluster.server(0, 1), cluster.server(0, 2)];
    const link = await old.link();
    await until("many are blocked", async () => {
      const info = (await link.call("INFO", "clients")) as string;
      return Number(/blocked_clients:(\d+)/.exec(info)?.[1]) === clients.length - 1;
    });
    // And more knock all the time.
    const knocking = Array.from({ length: 100 }, () => RawClient.open(router.port));
    await old.kill();
    await (await next.link()).call("REPLICAOF", "NO", "ONE");
    await cluster.show([2]);
    const [first] = clients;
    expect(await first?.call("SET a 1")).toBe("+OK\r\n");
    expect(await first?.call("RPUSH nothing element")).toMatch(/^:1/);
    expect(await Promise.race(clients.slice(1).map((client) => client.reply()))).toContain(
      "element",
    );
    for (const client of [...clients, ...(await Promise.all(knocking))]) client.socket.destroy();
    await newClientGets(router, "GET a", "$1\r\n1\r\n");
    expect(router.errors).toBe("");
  });
});
