// twine-load of a Redis Cluster whose master dies, and whose slots move, while it follows.
import { expect, test } from "vitest";
import { byLetter, clusterConf } from "../support/cluster-conf.ts";
import { askForeign } from "../support/foreign-stack.ts";
import { startedCluster } from "../support/one-partition.ts";
import { isMissing } from "../support/programs.ts";
import { callOnce, startRedisCluster } from "../support/redis-cluster.ts";
import { startRedis, until, type TestRedis } from "../support/redis-server.ts";
import { startLoad } from "../support/running-load.ts";
import { runTool } from "../support/run-tool.ts";

const CUTOVER = ["--cutover", "--until", "1s"];
const WITHIN_MS = 600_000;
const shape = { partitions: 2, nodesPerPartition: 1, routers: 1, nameOf: byLetter } as const;

test.skipIf(isMissing("redis-server"))(
  "a Redis Cluster of which a master dies, and then slots move, while it follows",
  async () => {
    const cluster = await startedCluster(
      clusterConf({ ...shape, lines: ["partitions 2", "cluster loaded"] }),
    );
    const { file } = cluster.config;
    const inCluster = async (...words: string[]): Promise<string | undefined> =>
      (await askForeign(cluster.port("r1"), [words]))[0];
    const masters = await startRedisCluster(["repl-backlog-size 64mb"]);
    const [first, second] = masters as [TestRedis, TestRedis];
    const replica = await startRedis([
      ...["cluster-enabled yes", "repl-diskless-sync-delay 0", "repl-backlog-size 64mb"],
    ]);
    await callOnce(replica, "CLUSTER", "MEET", "127.0.0.1", String(second.port));
    const id = (await callOnce(first, "CLUSTER", "MYID")) as string;
    await until("the replica knows its master", () =>
      callOnce(replica, "CLUSTER", "REPLICATE", id).then(
        () => true,
        () => false,
      ),
    );
    // Slots 0 to 5460: foo is 12182, bar 5061, {bar}1 too.
    for (let at = 0; at < 200; at++) await callOnce(first, "SET", `{bar}${at}`, String(at));
    await until("the replica has them and is known", async () => {
      const nodes = (await callOnce(second, "CLUSTER", "NODES")) as string;
      const [line = ""] = nodes.split("\n").filter((one) => one.includes(`:${replica.port}@`));
      return line.includes("slave") && (await callOnce(replica, "DBSIZE")) === 200;
    });
    const url = `cluster://127.0.0.1:${second.port}`;
    const live = startLoad(file, [url, ...CUTOVER]);
    await live.says("following:");
    await first.kill();
    await until(
      "the replica is master",
      async () =>
        ((await callOnce(replica, "INFO", "replication")) as string).includes("role:master"),
      120_000,
    );
    await callOnce(replica, "SET", "{bar}0", "after the failover");
    await live.says("trying again");
    // Slot 5061 goes to the second master, with its keys.
    const target = (await callOnce(second, "CLUSTER", "MYID")) as string;
    const from = (await callOnce(replica, "CLUSTER", "MYID")) as string;
    await until("the others know the new master", async () => {
      const nodes = (await callOnce(second, "CLUSTER", "NODES")) as string;
      return nodes.split("\n").some((one) => one.startsWith(from) && one.includes("master"));
    });
    await callOnce(second, "CLUSTER", "SETSLOT", "5061", "IMPORTING", from);
    await callOnce(replica, "CLUSTER", "SETSLOT", "5061", "MIGRATING", target);
    for (;;) {
      const keys = (await callOnce(replica, "CLUSTER", "GETKEYSINSLOT", "5061", "100")) as string[];
      if (keys.length === 0) break;
      await callOnce(
        replica,
        "MIGRATE",
        "127.0.0.1",
        String(second.port),
        "",
        "0",
        "5000",
        "KEYS",
        ...keys,
      );
    }
    for (const server of [second, replica]) {
      await callOnce(server, "CLUSTER", "SETSLOT", "5061", "NODE", target);
    }
    await callOnce(second, "SET", "{bar}1", "after the move");
    await live.says("the application may switch to this cluster");
    const { code, out, err: said } = await live.ended;
    expect(code, out + said).toBe(0);
    const same = await runTool("runtime", "twine-verify", file, url, file);
    expect([same.out, same.code], same.err).toEqual([
      expect.stringMatching(/^the same: \d+ keys/),
      0,
    ]);
    expect(said).toMatch(/other shards, or moved slots|slot/);
    expect(await inCluster("GET", "{bar}0")).toBe("after the failover");
    expect(await inCluster("GET", "{bar}1")).toBe("after the move");
  },
  WITHIN_MS,
);
