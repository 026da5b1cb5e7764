// faults-script.test.ts: scripts without end, sent through the router to a whole local cluster: one that only reads costs no
// node its role, and one that writes costs one node its role, and never the partition.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { clusterConf } from "../support/cluster-conf.ts";
import { FaultCluster } from "../support/fault-cluster.ts";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { RawClient } from "../support/router-cluster.ts";

const CONF = clusterConf({
  ...{ nodesPerPartition: 3, statusNodes: 3, monitors: 3, routers: 1 },
  nameOf: (_, number) => `a${number}`,
  // A script leaves the alpha a quarter of down-after to end it: on a busy machine, that of 1 s is too short.
  lines: ["cluster scripts", "down-after 3s", "redis appendonly yes", ""],
});
const ENDLESS = "while true do end";

let cluster: FaultCluster;

/** The nodes of all monitors' events of that name. */
async function events(name: string): Promise<readonly unknown[]> {
  const logs = await Promise.all(["m1", "m2", "m3"].map((monitor) => cluster.log(monitor)));
  return logs.flat().flatMap((line) => (line["msg"] === name ? [line["node"]] : []));
}

describe.skipIf(isMissing("redis-server"))("a script without end", () => {
  beforeAll(async () => {
    cluster = await FaultCluster.create(CONF);
    await cluster.start();
    await cluster.viewWhere("OK", ({ state }) => state === "OK");
  });

  afterAll(async () => {
    await cluster.remove();
  });

  test.each([
    ["EVAL_RO", ["EVAL_RO", ENDLESS, "1", "k"]],
    ["EVAL that has written nothing", ["EVAL", ENDLESS, "1", "k"]],
    ["FCALL_RO", ["FCALL_RO", "endless", "1", "k"]],
  ])("of a reader (%s) is ended, and no node loses its role", async (_, command) => {
    const hostile = await RawClient.open(cluster.port("r1"));
    const honest = await RawClient.open(cluster.port("r1"));
    const library =
      "#!lua name=hostile\nredis.register_function{function_name='endless'," +
      "callback=function() while true do end end,flags={'no-writes'}}";
    await hostile.callArgs(["FUNCTION", "LOAD", "REPLACE", library]);
    const before = await cluster.partition(0);
    const killedBefore = (await events("+script-kill")).length;
    for (let count = 1; count <= 2; count++) {
      expect(await hostile.callArgs(command)).toMatch(/killed by user/i);
      await until("honest clients are served", async () =>
        (await honest.call("SET a 1")).startsWith("+OK"),
      );
    }
    const killed = await events("+script-kill");
    expect(killed.slice(killedBefore)).toEqual([before.master, before.master]);
    expect((await cluster.partition(0)).master).toBe(before.master);
    expect(await events("+failover")).toEqual([]);
    expect(await events("+halt")).toEqual([]);
    for (const { socket } of [hostile, honest]) socket.destroy();
  });

  test("and more behind it in one pipeline are ended one after the other", async () => {
    const hostile = await RawClient.open(cluster.port("r1"));
    const before = await cluster.partition(0);
    const command = encodeCommand(["EVAL_RO", ENDLESS, "1", "k"]);
    hostile.send(Buffer.concat([command, command, command, command]));
    expect((await hostile.replies(4)).filter((reply) => !/killed by user/i.test(reply))).toEqual(
      [],
    );
    expect((await cluster.partition(0)).master).toBe(before.master);
    expect(await events("+failover")).toEqual([]);
    hostile.socket.destroy();
  });

  test("that has written costs its node the role, the view says why, and others are served", async () => {
    const hostile = await RawClient.open(cluster.port("r1"));
    const honest = await RawClient.open(cluster.port("r1"));
    const { master: old } = await cluster.partition(0);
    const reply = hostile.callArgs(["EVAL", `redis.call('set', KEYS[1], 1) ${ENDLESS}`, "1", "k"]);
    const view = await cluster.viewWhere("another master, and why", ({ partitions, nodes }) => {
      const node = nodes.find(({ name }) => name === old);
      const isBusy = node?.troubles?.some(({ code }) => code === "BUSY") === true;
      return ![old, null].includes(partitions[0]?.master ?? null) && isBusy;
    });
    expect(await reply).toMatch(/^-UNCERTAIN/);
    const [trouble] = view.nodes.find(({ name }) => name === old)?.troubles ?? [];
    expect(trouble?.text).toContain("could not be ended");
    expect(await honest.call("SET a 2")).toBe("+OK\r\n");
    expect(await events("+halt")).toEqual([]);
    // The remedy that the view names, given at the node; what it wrote is gone with it.
    expect(trouble?.remedy).toContain(`-p ${cluster.port(old ?? "")} SHUTDOWN NOSAVE`);
    await cluster.ask(old ?? "", "SHUTDOWN", "NOSAVE").catch(() => undefined);
    await until("it has ended", async () => !(await cluster.isRunning(old ?? "")));
    await cluster.heal();
    await cluster.viewWhere("OK", ({ state }) => state === "OK");
    expect(await honest.call("GET k")).toBe("$-1\r\n");
    for (const { socket } of [hostile, honest]) socket.destroy();
  });
});
