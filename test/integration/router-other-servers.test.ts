// router-other-servers.test.ts: a node is replaced by another server while the router runs: it learns that server's commands
// and its name; and what a client is told of features that a router does not have.
import { join } from "node:path";
import { createClient } from "@redis/client";
import { describe, expect, onTestFinished, test } from "vitest";
import { folderOf, SERVERS } from "../support/server-matrix.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { startRouterCluster, type RouterCluster } from "../support/router-cluster.ts";

/** Undefined where it can't be had. */
function programOf(name: string): string | undefined {
  const server = SERVERS.find((one) => one.name === name);
  const folder = server === undefined ? undefined : folderOf(server);
  return folder === undefined ? undefined : join(folder, "redis-server");
}

/** The only node runs `program` from now on, as after an upgrade: another process under the same name. */
async function replace(cluster: RouterCluster, program: string): Promise<void> {
  const [server] = cluster.servers;
  if (server === undefined) throw new Error("there is no node");
  await server.kill();
  await server.start(program);
  const info = (await (await server.link()).call("INFO", "server")) as string;
  const runId = /run_id:(\w+)/.exec(info)?.[1] ?? "";
  const view = cluster.view.current();
  if (view === undefined) throw new Error("there is no view");
  const nodes = view.nodes.map((node) => ({ ...node, runId }));
  cluster.view.set({ ...view, nodes, revision: view.revision + 1 });
}

describe.skipIf(isMissing("redis-server"))("a router whose node was upgraded", () => {
  test.each([
    ["Redis 8.2", "HSETEX h FIELDS 1 f v", ":1\r\n"],
    ["Valkey 9.1", "HSETEX h FIELDS 1 f v", ":1\r\n"],
  ])("to %s knows its new commands", async (name, command, reply) => {
    const program = programOf(name);
    if (program === undefined) return;
    const cluster = await startRouterCluster({ partitions: 1 });
    const client = await cluster.client();
    expect(await client.call(command)).toMatch(/^-ERR unknown command/);
    await replace(cluster, program);
    await until("the new command is known", async () => (await client.call(command)) === reply);
    expect(await client.call("GET nothing")).toBe("$-1\r\n");
  });

  test.each(["Valkey 8.1", "Valkey 9.1"])("to %s says so in HELLO and INFO", async (name) => {
    const program = programOf(name);
    if (program === undefined) return;
    const cluster = await startRouterCluster({ partitions: 1 });
    const client = await cluster.client();
    expect(await client.call("HELLO 2")).toContain("$6\r\nserver\r\n$5\r\nredis\r\n");
    await replace(cluster, program);
    await until("it is named", async () =>
      (await client.call("HELLO 2")).includes("$6\r\nserver\r\n$6\r\nvalkey\r\n"),
    );
    const version = name.slice("Valkey ".length);
    expect(await client.call("HELLO 3")).toMatch(
      new RegExp(`\\$7\r\nversion\r\n\\$\\d+\r\n${version.replace(".", "\\.")}\\.`),
    );
  });
});

describe.skipIf(isMissing("redis-server"))("client-side caching", () => {
  test("is refused at once with the reason, and node-redis works without it", async () => {
    const cluster = await startRouterCluster({ partitions: 1 });
    const open = (more: object) =>
      createClient({
        url: `redis://127.0.0.1:${cluster.port}`,
        RESP: 3,
        socket: { reconnectStrategy: false },
        ...more,
      }).on("error", () => undefined);
    const caching = open({ clientSideCache: { ttl: 0, maxEntries: 100, evictPolicy: "LRU" } });
    await expect(caching.connect()).rejects.toThrow(/'client tracking' is not supported/);
    const plain = open({});
    onTestFinished(() => {
      plain.destroy();
    });
    await plain.connect();
    expect(await plain.set("a", "1")).toBe("OK");
    expect(await plain.get("a")).toBe("1");
    await expect(plain.sendCommand(["CLIENT", "TRACKING", "ON"])).rejects.toThrow(/not supported/);
    expect(await plain.get("a")).toBe("1");
  });
});
