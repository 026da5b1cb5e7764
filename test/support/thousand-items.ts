// thousand-items.ts: a thousand items, written anew before each fault and looked for after it: each must exist with its
// newest value, on the master of its partition and on no other, and be the same on every replica.
import type { RedisLink, RedisReply } from "../../runtime/ports/redis-link.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import type { FaultCluster } from "./fault-cluster.ts";
import { until } from "./redis-server.ts";

export const ITEMS = 1000;

const names = Array.from({ length: ITEMS }, (_, index) => `item:${index}`);

export class ThousandItems {
  readonly #cluster: FaultCluster;
  readonly #router: string;
  #round = 0;

  constructor(cluster: FaultCluster, router: string) {
    this.#cluster = cluster;
    this.#router = router;
  }

  async #onRouter<T>(task: (link: RedisLink) => Promise<T>): Promise<T> {
    const link = await openRedisLink(
      { host: "127.0.0.1", port: this.#cluster.port(this.#router) },
      { connectTimeoutMs: 5000, commandTimeoutMs: 30_000 },
    );
    try {
      return await task(link);
    } finally {
      link.close();
    }
  }

  /** Writes every item with a new value; resolves when `replicas` replicas of each partition hold them. */
  async write(replicas = 2): Promise<void> {
    this.#round += 1;
    const value = `round ${this.#round}`;
    await this.#onRouter(async (link) => {
      await Promise.all(names.map((name) => link.call("SET", name, value)));
    });
    for (const { master } of (await this.#cluster.view())?.partitions ?? []) {
      if (master !== null && replicas > 0) await this.#replicated(master, replicas);
    }
  }

  /** Until as many replicas have what the master has now. */
  async #replicated(master: string, replicas: number): Promise<void> {
    const { offset } = await this.#replication(master);
    await until(`${replicas} replicas of ${master} have everything`, async () => {
      const { replicas: seen } = await this.#replication(master);
      return seen.filter((seenOffset) => seenOffset >= offset).length >= replicas;
    });
  }

  /** The master's offset, and what its replicas have acknowledged of it. */
  async #replication(master: string): Promise<{ offset: number; replicas: number[] }> {
    const reply = await this.#cluster.ask(master, "INFO", "replication");
    const info = typeof reply === "string" ? reply : "";
    return {
      offset: Number(/master_repl_offset:(\d+)/.exec(info)?.[1]),
      // The wire's own field: slave0:ip=127.0.0.1,port=7001,state=online,offset=1234,lag=0
      replicas: [...info.matchAll(/state=online,offset=(\d+)/g)].map(([, offset]) =>
        Number(offset),
      ),
    };
  }

  /** What is missing or not as it was written last, through the router. */
  wrong(): Promise<string[]> {
    const value = `round ${this.#round}`;
    return this.#onRouter(async (link) => {
      const replies = await Promise.all(names.map((name) => link.call("GET", name)));
      return names.flatMap((name, index) =>
        replies[index] === value ? [] : [`${name} is ${JSON.stringify(replies[index])}`],
      );
    });
  }

  /** The items on each data node, by partition: the master's first. */
  async #held(): Promise<(readonly string[])[][]> {
    const partitions = (await this.#cluster.view())?.partitions ?? [];
    return Promise.all(
      partitions.map(({ master, replicas }) => {
        if (master === null) throw new Error("a partition has no master");
        return Promise.all([master, ...replicas].map((name) => this.#keysOn(name)));
      }),
    );
  }

  async #keysOn(name: string): Promise<readonly string[]> {
    return keysOf(await this.#cluster.ask(name, "KEYS", "item:*"));
  }

  /** Resolves when the state is OK; throws unless every item exists, each in one partition, the same on its nodes. */
  async allExist(): Promise<void> {
    await this.#cluster.viewWhere("OK", ({ state }) => state === "OK");
    const wrong = await this.wrong();
    if (wrong.length > 0) {
      throw new Error(`${wrong.length} items are wrong: ${wrong.slice(0, 3).join(", ")}`);
    }
    let held: (readonly string[])[][] = [];
    await until("every node of a partition holds the same items", async () => {
      held = await this.#held();
      return held.every(([master, ...replicas]) =>
        replicas.every((keys) => JSON.stringify(keys) === JSON.stringify(master)),
      );
    });
    const all = held.flatMap(([master]) => master ?? []);
    if (all.length !== ITEMS || new Set(all).size !== ITEMS) {
      throw new Error(`${all.length} items on the masters, ${new Set(all).size} of them different`);
    }
  }
}

function keysOf(reply: RedisReply): readonly string[] {
  return Array.isArray(reply) ? reply.map(String).sort() : [];
}
