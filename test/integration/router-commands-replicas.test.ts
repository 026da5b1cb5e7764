// router-commands-replicas.test.ts: with read-from replica, what only a master can answer goes to the master all the same.
import { describe, expect, test } from "vitest";
import { decodeReply } from "../../runtime/resp/decode.ts";
import { itemsOf, textOf } from "../../runtime/resp/value.ts";
import { isMissing } from "../support/programs.ts";
import type { TestRedis } from "../support/redis-server.ts";
import { startRouterCluster } from "../support/router-cluster.ts";

async function callsOf(server: TestRedis, command: string): Promise<number> {
  const info = (await (await server.link()).call("INFO", "commandstats")) as string;
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(info)?.[1] ?? 0);
}

describe.skipIf(isMissing("redis-server"))("a router with read-from replica", () => {
  test("scans masters, whose cursors replicas don't know", async () => {
    const cluster = await startRouterCluster({
      partitions: 2,
      replicas: 1,
      settings: ["read-from replica"],
    });
    const client = await cluster.client();
    const names = Array.from({ length: 300 }, (_, n) => `k${n}`);
    await client.callArgs(["MSET", ...names.flatMap((name) => [name, "1"])]);
    await client.callArgs(["SADD", "set", ...names]);
    for (const scan of [
      (cursor: string) => `SCAN ${cursor} COUNT 20`,
      (c: string) => `SSCAN set ${c}`,
    ]) {
      const found: string[] = [];
      let cursor = "0";
      do {
        const reply = Buffer.from(await client.call(scan(cursor)), "latin1");
        const [next, elements] = itemsOf(decodeReply(reply));
        cursor = textOf(next) ?? "0";
        found.push(...itemsOf(elements).map((one) => textOf(one) ?? ""));
      } while (cursor !== "0");
      expect(found.filter((name) => name !== "set").sort()).toEqual([...names].sort());
    }
    for (const [replica] of cluster.replicas) {
      if (replica === undefined) throw new Error("each partition has a replica");
      expect([await callsOf(replica, "scan"), await callsOf(replica, "sscan")]).toEqual([0, 0]);
    }
  });

  test("runs by their digest the scripts that SCRIPT LOAD has brought to the masters", async () => {
    const cluster = await startRouterCluster({ replicas: 1, settings: ["read-from replica"] });
    const client = await cluster.client();
    const loaded = await client.callArgs(["SCRIPT", "LOAD", "return redis.call('GET', KEYS[1])"]);
    const sha = loaded.split("\r\n")[1] ?? "";
    for (let n = 0; n < 10; n++) {
      expect(await client.call(`SET k${n} ${n}`)).toBe("+OK\r\n");
      expect(await client.call(`EVALSHA_RO ${sha} 1 k${n}`)).toBe(`$1\r\n${n}\r\n`);
    }
  });
});
