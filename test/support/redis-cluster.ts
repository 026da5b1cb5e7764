// redis-cluster.ts: a real Redis Cluster of masters alone, by hand: redis-cli makes none of two. Ended with the test.
import { onTestFinished } from "vitest";
import type { CleanUp } from "./clean-up.ts";
import { startRedis, until, type TestRedis } from "./redis-server.ts";

/** A third of the slots each, as `hash crc16 slots` takes them. */
export const SLOT_RANGES = ["0-5460", "5461-10922", "10923-16383"] as const;

/** `ranges`: of slots, one for each master. */
export async function startRedisCluster(
  settings: readonly string[] = [],
  ranges: readonly string[] = SLOT_RANGES,
  cleanUp: CleanUp = onTestFinished,
): Promise<TestRedis[]> {
  const lines = ["cluster-enabled yes", "repl-diskless-sync-delay 0", ...settings];
  const masters = await Promise.all(ranges.map(() => startRedis(lines, cleanUp)));
  for (const [at, master] of masters.entries()) {
    const [from = "", end = ""] = (ranges[at] ?? "").split("-");
    await callOnce(master, "CLUSTER", "ADDSLOTSRANGE", from, end);
    await callOnce(master, "CONFIG", "SET", "cluster-node-timeout", "5000");
    await callOnce(master, "CLUSTER", "SET-CONFIG-EPOCH", String(at + 1));
  }
  const [first, ...others] = masters;
  for (const other of others) {
    await callOnce(other, "CLUSTER", "MEET", "127.0.0.1", String(first?.port ?? 0));
  }
  for (const master of masters) {
    await until("the Redis Cluster is well", async () => {
      const info = (await callOnce(master, "CLUSTER", "INFO")) as string;
      return (
        info.includes("cluster_state:ok") && info.includes(`cluster_known_nodes:${masters.length}`)
      );
    });
  }
  return masters;
}

/** One command on a link of its own. */
export async function callOnce(
  server: TestRedis,
  ...words: [string, ...string[]]
): Promise<unknown> {
  const link = await server.link();
  try {
    return await link.call(...words);
  } finally {
    link.close();
  }
}
