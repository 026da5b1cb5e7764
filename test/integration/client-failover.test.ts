// client-failover.test.ts: TwineClient on a whole cluster of real processes whose masters are killed and handed over.
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { TwineClient, type TwineClientOptions } from "../../runtime/client/twine-client.ts";
import { FaultCluster } from "../support/fault-cluster.ts";
import { TWO_PARTITIONS } from "../support/local-cluster.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";

let cluster: FaultCluster;

function clientOf(options: Partial<TwineClientOptions> = {}): TwineClient {
  const client = new TwineClient({ conf: cluster.config.file, ...options });
  onTestFinished(() => {
    client.disconnect();
  });
  return client;
}

describe.skipIf(isMissing("redis-server"))("TwineClient over a failover", () => {
  beforeAll(async () => {
    cluster = await FaultCluster.create(`${TWO_PARTITIONS}cluster client\nack-replicas 1\n`);
    await cluster.start();
  });

  afterAll(async () => {
    await cluster.remove();
  });

  test("a killed master costs no acknowledged write, and no error but UNCERTAIN", async () => {
    const client = clientOf();
    await client.ready();
    const failovers: string[] = [];
    client.on("failover", ({ partition, to }) => failovers.push(`${partition} ${to}`));
    const acknowledged = new Map<string, number>();
    const errors: string[] = [];
    let isOver = false;
    const write = async (key: string): Promise<void> => {
      for (let count = 1; !isOver; count++) {
        try {
          await client.set(key, count);
          acknowledged.set(key, count);
        } catch (error) {
          errors.push(error instanceof Error && "code" in error ? String(error.code) : "?");
        }
      }
    };
    const writers = Array.from({ length: 8 }, (_, index) => write(`key${index}`));
    await until("everybody writes", () => acknowledged.size === 8);
    const { master } = await cluster.partition(0);
    await cluster.kill(master ?? "");
    await until("another master serves", () => failovers.length > 0);
    const before = new Map(acknowledged);
    await until("everybody writes again", () =>
      [...acknowledged].every(([key, count]) => count > (before.get(key) ?? 0) + 10),
    );
    isOver = true;
    await Promise.all(writers);
    for (const [key, count] of acknowledged) {
      expect(Number(await client.get(key))).toBeGreaterThanOrEqual(count);
    }
    expect(failovers[0]).toMatch(/^0 a\d$/);
    expect(errors.filter((code) => code !== "UNCERTAIN" && code !== "UNDERREPLICATED")).toEqual([]);
    await cluster.heal();
  });

  test("with retry-unknown idempotent a writer of such commands sees no error at all", async () => {
    const client = clientOf({ retryUnknown: "idempotent", ackReplicas: 0 });
    await client.ready();
    let isOver = false;
    const counts = [0, 0, 0, 0, 0, 0, 0, 0];
    const errors: unknown[] = [];
    const write = async (index: number): Promise<void> => {
      for (let count = 1; !isOver; count++) {
        await client.set(`idem${index}`, count).catch((error: unknown) => errors.push(error));
        counts[index] = count;
      }
    };
    const writers = counts.map((_, index) => write(index));
    const failovers: number[] = [];
    client.on("failover", ({ partition }: { partition: number }) => failovers.push(partition));
    await until("everybody writes", () => counts.every((count) => count > 10));
    const { master } = await cluster.partition(1);
    await cluster.kill(master ?? "");
    await until("another master serves", () => failovers.length > 0);
    const before = [...counts];
    await until("everybody writes again", () =>
      counts.every((count, index) => count > (before[index] ?? 0) + 10),
    );
    isOver = true;
    await Promise.all(writers);
    expect(failovers).toEqual([1]);
    expect(errors).toEqual([]);
    await cluster.heal();
  });
});
