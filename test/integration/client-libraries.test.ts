// client-libraries.test.ts: libraries that take an ioredis instance, unmodified, on a TwineClient over two partitions, while
// a master is killed and while one is handed over. Of each: no acknowledged write is lost, nothing fails but what was on
// the wire, and the library goes on.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { createAdapter } from "@socket.io/redis-adapter";
import { Queue, Worker, type ConnectionOptions } from "bullmq";
import { Queue as Queue5, Worker as Worker5, type ConnectionOptions as Connection5 } from "bullmq5";
import { RedisStore } from "connect-redis";
import { RedisStore as RedisStore9 } from "connect-redis9";
import { RateLimiterRedis } from "rate-limiter-flexible";
import { createClient } from "redis";
import { Server } from "socket.io";
import { io } from "socket.io-client";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { TwineClient } from "../../runtime/client/twine-client.ts";
import { FaultCluster } from "../support/fault-cluster.ts";
import { TWO_PARTITIONS } from "../support/local-cluster.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { runTool } from "../support/run-tool.ts";
import { clientOf } from "../support/twine-clients.ts";

const SETTINGS = "cluster libraries\nack-replicas 1\nhash-tag {}\n";
/** Prefixes whose keys lie in partition 1, 1, 0 and 0, by crc32 of what is in the braces. */
const PREFIXES = ["{a}", "{b}", "{d}", "{e}"];
const TEST_MS = 150_000;
/** How long a cluster may take to be well again on a busy machine. */
const HEALED_WITHIN_MS = 45_000;

/** redlock 4 has no types of its own; this is what is used of it. */
interface Lock {
  unlock(): Promise<void>;
}
const Redlock = createRequire(import.meta.url)("redlock") as new (
  clients: readonly unknown[],
  options: { readonly retryCount: number; readonly retryDelay: number },
) => {
  on(event: "clientError", task: (error: unknown) => void): void;
  lock(resource: string, ttlMs: number): Promise<Lock>;
};

let cluster: FaultCluster;

/** What may have been executed, says its error. */
const DOUBT = /UNCERTAIN|UNDERREPLICATED/;
/** BullMQ moves a job whose end is in doubt once more, to the failed ones: it finds it ended, and no lock. */
const ENDED_BEFORE = /Missing lock for job \d+\. moveToFinished/;

/** What a library was asked for, and what became of it. */
class Ledger {
  acknowledged = 0;
  readonly errors: string[] = [];
  #isOver = false;
  readonly #loops: Promise<void>[] = [];

  /** Does `act` again and again, with numbers of its own, until stop(). */
  repeat(act: (number: number) => Promise<void>): void {
    const loop = async (): Promise<void> => {
      for (let number = 0; !this.#isOver; number++) {
        try {
          await act(number);
          this.acknowledged++;
        } catch (error) {
          this.note(error);
        }
      }
    };
    this.#loops.push(loop());
  }

  note(error: unknown): void {
    this.errors.push(String(error));
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#loops);
  }

  async goesOn(): Promise<void> {
    const before = this.acknowledged;
    await until("it goes on", () => this.acknowledged >= before + 25, HEALED_WITHIN_MS);
  }

  /**
   * What was neither on the wire when its node died nor held by too few replicas, as such an error says, nor `follows`
   * from one of those. One command in doubt explains one error that follows from it.
   */
  unexpected(follows?: RegExp): string[] {
    const others = this.errors.filter((text) => !DOUBT.test(text));
    const following = others.filter((text) => follows?.test(text));
    const isExplained = following.length <= this.errors.length - others.length;
    return isExplained ? others.filter((text) => !following.includes(text)) : others;
  }
}

/** Kills the master of each partition in turn and hands the next one over, and waits each time until the load goes on. */
async function faults(ledger: Ledger, follows?: RegExp): Promise<void> {
  await ledger.goesOn();
  for (const index of [0, 1]) {
    const { master } = await cluster.partition(index);
    await cluster.kill(master ?? "");
    await cluster.viewWhere("another master", ({ partitions }) => {
      const now = partitions[index]?.master ?? null;
      return now !== null && now !== master;
    });
    await ledger.goesOn();
    await cluster.heal();
    const { replicas } = await cluster.partition(index);
    const moved = await runTool(
      "runtime",
      "twine-failover",
      cluster.config.file,
      replicas[0] ?? "",
    );
    expect(moved.code).toBe(0);
    await ledger.goesOn();
  }
  await ledger.stop();
  expect(ledger.unexpected(follows)).toEqual([]);
}

/** Of connect-redis, what is used of both versions. */
interface SessionStore {
  set(id: string, session: never, done: (error?: unknown) => void): unknown;
  get(id: string): Promise<unknown>;
  length(): Promise<unknown>;
}

async function keepsSessions(store: SessionStore): Promise<void> {
  const ledger = new Ledger();
  const saved = new Set<string>();
  for (const prefix of PREFIXES) {
    ledger.repeat(async (number) => {
      const id = `${prefix}${number}`;
      const cookie = { originalMaxAge: null };
      // The callback says what failed; the promise never rejects.
      await new Promise<void>((resolve, reject) => {
        store.set(id, { cookie } as never, (error: unknown) => {
          if (error === undefined || error === null) resolve();
          else reject(error instanceof Error ? error : new Error("no Error", { cause: error }));
        });
      });
      saved.add(id);
    });
  }
  await faults(ledger);
  expect(await store.length()).toBeGreaterThanOrEqual(saved.size);
  for (const id of saved) expect(await store.get(id)).toMatchObject({ cookie: {} });
}

async function readyClient(): Promise<TwineClient> {
  const client = clientOf({ conf: cluster.config.file });
  await client.ready();
  return client;
}

describe.skipIf(isMissing("redis-server"))("libraries on a TwineClient", () => {
  beforeAll(async () => {
    cluster = await FaultCluster.create(`${TWO_PARTITIONS}${SETTINGS}`);
    await cluster.start();
  }, 120_000);

  afterAll(async () => {
    await cluster.remove();
  });

  // Both versions are of one shape as far as it is used here; 5 brings the types of another ioredis.
  const versions = [
    { name: "6", QueueOf: Queue, WorkerOf: Worker },
    {
      name: "5",
      QueueOf: Queue5 as unknown as typeof Queue,
      WorkerOf: Worker5 as unknown as typeof Worker,
    },
  ] as const;

  test.each(versions)(
    "BullMQ $name: every job that was added is done",
    async ({ name, QueueOf, WorkerOf }) => {
      const client = await readyClient();
      const connection = client as unknown as ConnectionOptions & Connection5;
      const ledger = new Ledger();
      const added = new Set<string>();
      const done = new Set<string>();
      const ends = PREFIXES.map((prefix) => {
        const options = { connection, prefix: `${prefix}v${name}` };
        const queue = new QueueOf("jobs", options);
        const worker = new WorkerOf(
          "jobs",
          (job: { readonly data: { readonly id: string } }) => {
            done.add(job.data.id);
            return Promise.resolve();
          },
          { ...options, concurrency: 4, stalledInterval: 1000, lockDuration: 2000 },
        );
        worker.on("error", (error: Error) => {
          ledger.note(error);
        });
        queue.on("error", (error: Error) => {
          ledger.note(error);
        });
        ledger.repeat(async (number) => {
          const id = `${prefix} ${number}`;
          await queue.add("one", { id });
          added.add(id);
        });
        return async () => {
          await worker.close();
          await queue.close();
        };
      });
      await faults(ledger, ENDED_BEFORE);
      const missing = (): string[] => [...added].filter((id) => !done.has(id));
      await until("every job is done", () => missing().length === 0, HEALED_WITHIN_MS);
      await Promise.all(ends.map((end) => end()));
    },
    TEST_MS,
  );

  test(
    "rate-limiter-flexible: what it let through is counted",
    async () => {
      const client = await readyClient();
      const limiter = new RateLimiterRedis({
        ...{ storeClient: client, keyPrefix: "limit", points: 1_000_000, duration: 3600 },
      });
      const ledger = new Ledger();
      const counts = new Map<string, number>();
      for (const prefix of PREFIXES) {
        ledger.repeat(async () => {
          await limiter.consume(prefix);
          counts.set(prefix, (counts.get(prefix) ?? 0) + 1);
        });
      }
      await faults(ledger);
      for (const [prefix, count] of counts) {
        const found = await limiter.get(prefix);
        expect(found?.consumedPoints).toBeGreaterThanOrEqual(count);
      }
    },
    TEST_MS,
  );

  test(
    "redlock: nobody holds a lock that another one holds",
    async () => {
      const clients = [await readyClient(), await readyClient()];
      const ledger = new Ledger();
      const holders = new Map<string, number>();
      for (const client of clients) {
        const redlock = new Redlock([client], { retryCount: 200, retryDelay: 20 });
        redlock.on("clientError", (error: unknown) => {
          ledger.note(error);
        });
        for (const prefix of PREFIXES) {
          ledger.repeat(async () => {
            const lock = await redlock.lock(`lock:${prefix}`, 3000).catch((error: unknown) => {
              // It found no majority: of its one server the reason was told by clientError.
              if ((error as Error).name !== "LockError") throw error;
            });
            if (lock === undefined) return;
            const now = (holders.get(prefix) ?? 0) + 1;
            holders.set(prefix, now);
            expect(now).toBe(1);
            await client.incr(`count:${prefix}`).catch((error: unknown) => {
              ledger.note(error);
            });
            holders.set(prefix, now - 1);
            await lock.unlock().catch((error: unknown) => {
              if ((error as Error).name !== "LockError") throw error;
            });
          });
        }
      }
      await faults(ledger);
    },
    TEST_MS,
  );

  test(
    "connect-redis 8: every session that was saved is there",
    async () => {
      await keepsSessions(new RedisStore({ client: await readyClient(), prefix: "session:" }));
    },
    TEST_MS,
  );

  test(
    "connect-redis 9, which needs node-redis, at the router: every session that was saved is there",
    async () => {
      const { port } = cluster.config.nodes.find(({ kind }) => kind === "router") ?? {};
      const client = createClient({ socket: { host: "127.0.0.1", port: port ?? 0 } });
      const errors: unknown[] = [];
      client.on("error", (error: unknown) => errors.push(error));
      await client.connect();
      onTestFinished(() => {
        client.destroy();
      });
      await keepsSessions(new RedisStore9({ client, prefix: "session9:" }));
      // The router's connection outlives every master.
      expect(errors).toEqual([]);
    },
    TEST_MS,
  );

  test(
    "@socket.io/redis-adapter: a message to one server reaches the clients of the other",
    async () => {
      const servers: Server[] = [];
      for (let count = 0; count < 2; count++) {
        const pub = await readyClient();
        const sub = pub.duplicate();
        const http = createServer();
        const server = new Server(http, { adapter: createAdapter(pub, sub) });
        await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
        servers.push(server);
        // The adapter ends its subscriptions without waiting for them: quit() answers them.
        onTestFinished(async () => {
          await server.close();
          await Promise.all([sub.quit(), pub.quit()]);
        });
      }
      const [first, second] = servers;
      const address = second?.httpServer.address() as AddressInfo | undefined;
      const socket = io(`http://127.0.0.1:${address?.port ?? 0}`, { transports: ["websocket"] });
      onTestFinished(() => {
        socket.close();
      });
      await new Promise<void>((resolve) => socket.once("connect", resolve));
      const heard = new Set<number>();
      socket.on("tick", (number: number) => heard.add(number));
      const ledger = new Ledger();
      // The adapter does not look at what becomes of its PUBLISH.
      const others = process.listeners("unhandledRejection");
      const note = (error: unknown): void => {
        ledger.note(error);
      };
      process.removeAllListeners("unhandledRejection");
      process.on("unhandledRejection", note);
      onTestFinished(() => {
        process.off("unhandledRejection", note);
        for (const listener of others) process.on("unhandledRejection", listener);
      });
      ledger.repeat(async (number) => {
        first?.emit("tick", number);
        // What is published while a master is missing is heard by nobody: the next one is.
        await until("it is heard", () => heard.has(number), 250).catch(() => undefined);
        if (!heard.has(number)) throw new Error("UNCERTAIN it was published to nobody");
      });
      await faults(ledger);
      expect(heard.size).toBeGreaterThan(100);
    },
    TEST_MS,
  );
});
