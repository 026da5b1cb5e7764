// client-own-failover.test.ts: TwineClient's callers who wait, listen and watch, on a whole cluster of real processes whose
// masters are killed, paused and handed over by real monitors.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FaultCluster } from "../support/fault-cluster.ts";
import { TWO_PARTITIONS } from "../support/local-cluster.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { runTool } from "../support/run-tool.ts";
import { clientOf } from "../support/twine-clients.ts";
import type { TwineClient } from "../../runtime/client/twine-client.ts";

let cluster: FaultCluster;

const QUEUES = Array.from({ length: 6 }, (_, index) => `queue${index}`);
const CHANNELS = Array.from({ length: 6 }, (_, index) => `channel${index}`);

/** Callers that take from every queue until they are told to stop, and what they took. */
class Consumers {
  readonly taken = new Map<string, number>();
  readonly errors: string[] = [];
  readonly #client: TwineClient;
  readonly #ended: Promise<void>[];
  #isOver = false;

  constructor(client: TwineClient) {
    this.#client = client;
    this.#ended = QUEUES.map((queue) => this.#consume(queue));
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#ended);
  }

  async #consume(queue: string): Promise<void> {
    while (!this.#isOver) {
      try {
        const found = await this.#client.blpop(queue, 1);
        if (found !== null) this.taken.set(found[1], (this.taken.get(found[1]) ?? 0) + 1);
      } catch (error) {
        this.errors.push(String(error));
      }
    }
  }
}

/** Adds one again and again, each time by reading, watching and writing. Gives how often that was done for certain. */
async function count(client: TwineClient, key: string, isOver: () => boolean): Promise<number> {
  let sure = 0;
  while (!isOver()) {
    const done = await client
      .isolated(key, async (one) => {
        await one.watch(key);
        const value = Number(await one.get(key));
        return one
          .multi()
          .set(key, value + 1)
          .exec();
      })
      .catch((error: unknown) => String(error));
    if (Array.isArray(done)) sure++;
    else if (typeof done === "string") expect(done).toMatch(/UNCERTAIN|UNDERREPLICATED/);
  }
  return sure;
}

async function push(client: TwineClient, word: string, pushed: Set<string>): Promise<void> {
  for (const queue of QUEUES) {
    const item = `${queue} ${word}`;
    await client.rpush(queue, item).then(
      () => pushed.add(item),
      () => undefined,
    );
  }
}

async function pushUntil(
  client: TwineClient,
  pushed: Set<string>,
  isOver: () => boolean,
): Promise<void> {
  for (let round = 0; !isOver(); round++) await push(client, `round ${round}`, pushed);
}

describe.skipIf(isMissing("redis-server"))("TwineClient's own connections over a failover", () => {
  beforeAll(async () => {
    cluster = await FaultCluster.create(`${TWO_PARTITIONS}cluster own\nack-replicas 1\n`);
    await cluster.start();
  });

  afterAll(async () => {
    await cluster.remove();
  });

  test("killed, paused and handed-over masters: consumers see no error, listeners hear again, counters lose nothing", async () => {
    const [client, producer] = [
      clientOf({ conf: cluster.config.file }),
      clientOf({ conf: cluster.config.file }),
    ];
    await Promise.all([client.ready(), producer.ready()]);
    const heard = new Set<string>();
    client.on("message", (_channel, message) => heard.add(message));
    client.on("pmessage", (_pattern, _channel, message) => heard.add(`p ${message}`));
    await client.subscribe(...CHANNELS);
    await client.psubscribe("chan*");
    const consumers = new Consumers(client);
    let isOver = false;
    const counting = [0, 1, 2].map(() => count(client, "n", () => isOver));
    const pushed = new Set<string>();
    const everythingWorks = async (word: string): Promise<void> => {
      await push(producer, word, pushed);
      // Who is told UNDERREPLICATED has taken something too, and was not told what.
      await until(`all that was pushed is taken: ${word}`, () => {
        const left = [...pushed].filter((item) => !consumers.taken.has(item));
        return left.length <= consumers.errors.length;
      });
      for (const channel of CHANNELS) {
        const message = `${channel} ${word}`;
        await until(`it is heard: ${message}`, async () => {
          await producer.publish(channel, message).catch(() => 0);
          return heard.has(message) && heard.has(`p ${message}`);
        });
      }
    };
    await everythingWorks("at first");
    const masterOf = async (index: number): Promise<string> =>
      (await cluster.partition(index)).master ?? "";
    const killed = await masterOf(0);
    await cluster.kill(killed);
    await cluster.viewWhere("another master", ({ partitions }) => {
      const master = partitions[0]?.master ?? null;
      return master !== null && master !== killed;
    });
    await everythingWorks("after a kill");
    const paused = await masterOf(1);
    await cluster.pause(paused);
    await cluster.viewWhere("another master", ({ partitions }) => {
      const master = partitions[1]?.master ?? null;
      return master !== null && master !== paused;
    });
    await everythingWorks("after a pause");
    await cluster.resume(paused);
    await cluster.heal();
    const handed = await masterOf(0);
    const next = (await cluster.partition(0)).replicas[0] ?? "";
    const { code, err } = await runTool("runtime", "twine-failover", cluster.config.file, next);
    expect([code, err]).toEqual([0, ""]);
    expect(await masterOf(0)).not.toBe(handed);
    await everythingWorks("after a handover");
    let isPushing = true;
    const pushing = pushUntil(producer, pushed, () => !isPushing);
    for (let round = 0; round < 4; round++) {
      await cluster.viewWhere("OK again", ({ state }) => state === "OK");
      const other = (await cluster.partition(round % 2)).replicas[0] ?? "";
      const again = await runTool("runtime", "twine-failover", cluster.config.file, other);
      expect([again.code, again.err]).toEqual([0, ""]);
    }
    isPushing = false;
    await pushing;
    await everythingWorks("after handovers under load");
    isOver = true;
    const sure = (await Promise.all(counting)).reduce((sum, one) => sum + one, 0);
    await consumers.stop();
    expect(consumers.errors.filter((text) => !text.includes("UNDERREPLICATED"))).toEqual([]);
    expect([...consumers.taken.values()].every((times) => times === 1)).toBe(true);
    expect(Number(await client.get("n"))).toBeGreaterThanOrEqual(sure);
    expect(sure).toBeGreaterThan(50);
  });
});
