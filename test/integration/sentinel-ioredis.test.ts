// Many clients over many failovers and handovers of real processes: what docs/sentinel.md tells users of ioredis to set.
// A client that ends never comes back by itself; a client that is only late does.
import { Redis } from "ioredis";
import { expect, onTestFinished, test } from "vitest";
import type { FaultCluster } from "../support/fault-cluster.ts";
import { startedCluster } from "../support/one-partition.ts";
import { until } from "../support/redis-server.ts";
import { runTool } from "../support/run-tool.ts";

const CONF = `
a1=data 0 localhost {a1} 0
a2=data 0 localhost {a2} 0
a3=data 0 localhost {a3} 0
s1=status localhost {s1} 0
m1=monitor localhost {m1} {p1}
m2=monitor localhost {m2} {p2}
m3=monitor localhost {m3} {p3}
partitions 1
`;
const CLIENT_COUNT = 6;

interface Writing {
  readonly redis: Redis;
  /** Writes acknowledged so far. */
  readonly count: () => number;
}

/** Writes every 10 ms, whatever becomes of it. */
function writing(cluster: FaultCluster, key: string): Writing {
  const sentinels = cluster.config.nodes.flatMap((node) =>
    node.kind === "monitor" ? [{ host: "127.0.0.1", port: node.sentinelPort ?? 0 }] : [],
  );
  const redis = new Redis({
    sentinels,
    name: "twine-p0",
    reconnectOnError: (error) => (error.message.startsWith("READONLY") ? 2 : false),
  });
  redis.on("error", () => undefined);
  let count = 0;
  const timer = setInterval(() => {
    redis.incr(key).then(
      () => (count += 1),
      () => undefined,
    );
  }, 10);
  onTestFinished(() => {
    clearInterval(timer);
    redis.disconnect();
  });
  return { redis, count: () => count };
}

test("ioredis as the page recommends it comes back after every kill and every handover", async () => {
  const cluster = await startedCluster(CONF);
  const clients = Array.from({ length: CLIENT_COUNT }, (_, at) => writing(cluster, `k${at}`));
  const allWrite = async (what: string): Promise<void> => {
    const before = clients.map(({ count }) => count());
    const isOn = (): boolean => clients.every(({ count }, at) => count() > (before[at] ?? 0) + 5);
    await until(`all write ${what}`, isOn, 60_000).catch((error: unknown) => {
      const seen = clients.map(({ redis }) => redis.status).join(" ");
      throw new Error(`${String(error)}: ${seen}`, { cause: error });
    });
  };
  await allWrite("at first");
  for (let round = 0; round < 4; round++) {
    const master = (await cluster.partition(0)).master ?? "";
    await cluster.kill(master);
    await cluster.viewWhere("another master", ({ partitions }) => {
      return ![null, master].includes(partitions[0]?.master ?? null);
    });
    await allWrite(`after kill ${round}`);
    await cluster.heal();
    await cluster.viewWhere("OK", ({ state }) => state === "OK");
  }
  for (const to of ["a1", "a2", "a3"]) {
    const { code, err } = await runTool("runtime", "twine-failover", cluster.config.file, to);
    expect([code, err]).toEqual([0, ""]);
    await allWrite(`after the handover to ${to}`);
  }
  expect(clients.map(({ redis }) => redis.status)).not.toContain("end");
});
