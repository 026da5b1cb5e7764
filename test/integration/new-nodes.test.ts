// new-nodes.test.ts: the new nodes of a resharding on real redis-servers: prepared again after their connections broke, and
// empty at the end, whatever their replicas have seen.
import { describe, expect, onTestFinished, test } from "vitest";
import { NewNodes } from "../../runtime/move/reshard/new-nodes.ts";
import { systemClock as clock } from "../../runtime/ports/clock.ts";
import { isMissing } from "../support/programs.ts";
import { startRedis, until, type TestRedis } from "../support/redis-server.ts";
import { configOf } from "../unit/monitor/situations.ts";

const SETTINGS = ["repl-diskless-sync-delay 0"];

async function startNodes() {
  const [master, replica] = [await startRedis(SETTINGS), await startRedis(SETTINGS)];
  const config = configOf(
    `a=data 0 localhost ${master.port} 0\nb=data 0 localhost ${replica.port} 0\ns1=status localhost 7101 0\nm1=monitor localhost 7201\n`,
  );
  return { master, replica, config };
}

async function connect(config: Parameters<typeof NewNodes.connect>[0], signal: AbortSignal) {
  const nodes = await NewNodes.connect(config, {
    ...{ password: undefined, tls: undefined, clock, signal },
  });
  onTestFinished(() => {
    nodes.close();
  });
  return nodes;
}

async function ask(server: TestRedis, ...words: [string, ...string[]]): Promise<unknown> {
  const link = await server.link();
  return link.call(...words);
}

/** With its master. */
async function roleOf(server: TestRedis): Promise<unknown> {
  return ((await ask(server, "ROLE")) as unknown[]).slice(0, 3);
}

describe.skipIf(isMissing("redis-server"))("the new nodes", () => {
  test("are prepared again after one died and came back", async () => {
    const { master, replica, config } = await startNodes();
    const nodes = await connect(config, new AbortController().signal);
    await nodes.prepare();
    await ask(master, "SET", "left", "over");
    await replica.kill();
    await expect(nodes.prepare()).rejects.toThrow("node b at localhost");
    await replica.start();
    await nodes.prepare();
    expect(await ask(master, "DBSIZE")).toBe(0);
    expect((await nodes.masters()).map(({ node }) => node)).toEqual(["a"]);
    expect(await roleOf(replica)).toEqual(["slave", "127.0.0.1", master.port]);
  });

  test("are all emptied at the end: a replica that lost its master too", async () => {
    const { master, replica, config } = await startNodes();
    const abort = new AbortController();
    const nodes = await connect(config, abort.signal);
    await nodes.prepare();
    await ask(master, "SET", "key", "value");
    await until("the replica has it", async () => (await ask(replica, "DBSIZE")) === 1);
    await ask(replica, "REPLICAOF", "127.0.0.1", "2");
    abort.abort(new Error("interrupted"));
    expect(await nodes.release()).toEqual([]);
    for (const server of [master, replica]) {
      expect(await ask(server, "DBSIZE")).toBe(0);
      expect(await roleOf(server)).toEqual(["slave", "127.0.0.1", 1]);
    }
    await master.kill();
    expect(await nodes.release()).toEqual(["a"]);
  });

  test("an interruption while they are connected to is no failure of a node", async () => {
    const { config } = await startNodes();
    const signal = AbortSignal.abort(new Error("interrupted by SIGINT"));
    await expect(connect(config, signal)).rejects.toThrow(/^interrupted by SIGINT$/);
  });
});
