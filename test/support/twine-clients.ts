// twine-clients.ts: TwineClients for tests: closed when their test ends, and what became of a promise told as a value.
import { onTestFinished } from "vitest";
import { TwineClient, type TwineClientOptions } from "../../runtime/client/twine-client.ts";
import type { RedisLink } from "../../runtime/ports/redis-link.ts";
import { PublishedCluster, type PublishedOptions } from "./published-cluster.ts";
import { until } from "./redis-server.ts";

export function clientOf(options: TwineClientOptions): TwineClient {
  const client = new TwineClient(options);
  onTestFinished(() => {
    client.disconnect();
  });
  return client;
}

/** A cluster whose view the test publishes, and a client of it that is ready. */
export async function clusterAndClient(
  options: PublishedOptions = {},
  settings: Partial<TwineClientOptions> = {},
): Promise<{ readonly cluster: PublishedCluster; readonly client: TwineClient }> {
  const cluster = await PublishedCluster.start(options);
  const client = clientOf({ conf: cluster.confFile, ...settings });
  await client.ready();
  return { cluster, client };
}

/** The code of what it failed with, or the text of an error that has none; what it gave when it did not fail. */
export function outcomeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.catch((error: unknown) =>
    error instanceof Error && "code" in error ? String(error.code) : String(error),
  );
}

/** Until so many clients wait at a node. */
export async function untilBlocked(link: RedisLink, count: number): Promise<void> {
  await until(`${count} clients wait`, async () => {
    const info = (await link.call("INFO", "clients")) as string;
    return Number(/^blocked_clients:(\d+)/m.exec(info)?.[1]) === count;
  });
}

/** Until a replica follows its master. */
export async function untilInSync(master: RedisLink): Promise<void> {
  await until("the replica is online", async () =>
    ((await master.call("INFO", "replication")) as string).includes("state=online"),
  );
}
