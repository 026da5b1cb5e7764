// counted-writer.ts: clients that write keys of every type through a router, each write adding exactly one to its key, and
// each reply naming how many there are. So a write that was lost, executed twice, or hidden in another partition shows at the
// next write of its key. What was answered with an error may have been executed or not; then both counts are right.
import { systemClock } from "../../runtime/ports/clock.ts";
import { seededRandom } from "../../runtime/ports/seeded-random.ts";
import { openNodeSocket } from "../../runtime/replication/node-socket.ts";
import { itemsOf, numberOf, textOf, type RespValue } from "../../runtime/resp/value.ts";

type Words = readonly string[];

interface Kind {
  readonly name: string;
  readonly add: (key: string, count: number) => readonly Words[];
  readonly count: (key: string) => Words;
}

const SCRIPT = "return redis.call('INCR', KEYS[1])";

/** `count`: what the key has before. */
const KINDS: readonly Kind[] = [
  { name: "incr", add: (key) => [["INCR", key]], count: (key) => ["GET", key] },
  {
    name: "ttl",
    add: (key) => [
      ["INCR", key],
      ["EXPIRE", key, "5000"],
    ],
    count: (key) => ["GET", key],
  },
  { name: "eval", add: (key) => [["EVAL", SCRIPT, "1", key]], count: (key) => ["GET", key] },
  {
    name: "multi",
    add: (key) => [["MULTI"], ["INCR", key], ["EXEC"]],
    count: (key) => ["GET", key],
  },
  { name: "append", add: (key) => [["APPEND", key, "x"]], count: (key) => ["STRLEN", key] },
  {
    name: "list",
    add: (key, count) => [["RPUSH", key, `${count}`]],
    count: (key) => ["LLEN", key],
  },
  { name: "set", add: (key, count) => [["SADD", key, `${count}`]], count: (key) => ["SCARD", key] },
  { name: "hash", add: (key) => [["HINCRBY", key, "f", "1"]], count: (key) => ["HGET", key, "f"] },
  {
    name: "zset",
    add: (key) => [["ZINCRBY", key, "1", "m"]],
    count: (key) => ["ZSCORE", key, "m"],
  },
  {
    name: "stream",
    add: (key, count) => [["XADD", key, `${count + 1}-0`, "f", "v"]],
    count: (key) => ["XLEN", key],
  },
];

interface Counted {
  readonly key: string;
  readonly kind: Kind;
  count: number;
  /** Writes that were answered with an error since `count` was known. */
  unknown: number;
}

/** One connection, in order; a NodeSocket is one. */
export interface CommandLink {
  call(...words: readonly string[]): Promise<RespValue>;
  destroy(): void;
}

export interface WritingOptions {
  /** Of its keys; two writers must not share one. */
  readonly prefix?: string;
  /** Absent: a router of this machine is written to. */
  readonly open?: () => Promise<CommandLink>;
  /** From the begin of a client's batch to that of its next one, if it has been answered by then. */
  readonly batchEveryMs?: number;
}

const KEYS_PER_KIND = 20;
/** Writes in each batch of a client. */
export const BATCH = 12;
const REST_MS = 2;

export class CountedWriter {
  readonly wrong: string[] = [];
  readonly errors: string[] = [];
  acknowledged = 0;
  /** The longest time from a batch to its last reply. */
  longestMs = 0;
  readonly #open: () => Promise<CommandLink>;
  readonly #batchEveryMs: number;
  readonly #clients: Promise<void>[];
  readonly #keys: Counted[][] = [];
  #isOver = false;

  /** `port`: a router's. */
  constructor(
    port: number,
    clients: number,
    seed: number,
    { prefix = "", batchEveryMs = 0, open = () => openRouter(port) }: WritingOptions = {},
  ) {
    this.#open = open;
    this.#batchEveryMs = batchEveryMs;
    this.#clients = Array.from({ length: clients }, (_, client) => {
      const keys = KINDS.flatMap((kind) =>
        Array.from({ length: KEYS_PER_KIND }, (__, index) => ({
          ...{ key: `${prefix}${kind.name}:${client}:${index}`, kind, count: 0, unknown: 0 },
        })),
      );
      this.#keys.push(keys);
      return this.#run(keys, seed * 100 + client);
    });
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#clients);
  }

  /** Reads every key once more; `wrong` has what is not as it was acknowledged. Answers the names of the keys. */
  async check(): Promise<string[]> {
    const socket = await this.#open();
    try {
      for (const counted of this.#keys.flat()) await this.#read(counted, socket);
    } finally {
      socket.destroy();
    }
    return this.#keys.flat().flatMap(({ key, count }) => (count > 0 ? [key] : []));
  }

  async #run(keys: Counted[], seed: number): Promise<void> {
    const random = seededRandom(seed);
    const socket = await this.#open();
    try {
      while (!this.#isOver) {
        const first = Math.floor(random.next() * (keys.length - BATCH));
        const batch = keys.slice(first, first + BATCH);
        const beganMs = systemClock.nowMs();
        await Promise.all(batch.map((counted) => this.#add(counted, socket)));
        this.longestMs = Math.max(this.longestMs, systemClock.nowMs() - beganMs);
        for (const counted of batch) if (counted.unknown > 0) await this.#read(counted, socket);
        const tookMs = systemClock.nowMs() - beganMs;
        await systemClock.delay(Math.max(REST_MS, this.#batchEveryMs - tookMs));
      }
    } catch (error) {
      this.wrong.push(`a client ended: ${String(error)}`);
    } finally {
      socket.destroy();
    }
  }

  async #add(counted: Counted, socket: CommandLink): Promise<void> {
    const { kind, key, count } = counted;
    const calls = kind.add(key, count).map((words) => socket.call(...words));
    const outcomes = await Promise.allSettled(calls);
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (failed !== undefined) {
      this.errors.push(`${kind.name}: ${String(failed.reason)}`);
      counted.unknown++;
      return;
    }
    const replies = outcomes.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    const now = kind.name === "ttl" ? replies[0] : replies.at(-1);
    this.acknowledged++;
    counted.count = count + 1;
    const answered = answeredCount(kind, now);
    if (answered !== undefined && answered !== count + 1) {
      this.wrong.push(`${key}: a write after ${count} was answered with ${answered}`);
      counted.count = answered;
    }
  }

  async #read(counted: Counted, socket: CommandLink): Promise<void> {
    const { kind, key, count, unknown } = counted;
    const reply = await socket.call(...kind.count(key)).catch((error: unknown) => {
      this.errors.push(`read: ${String(error)}`);
      return undefined;
    });
    if (reply === undefined) return;
    const found = Number(textOf(reply) ?? numberOf(reply) ?? 0);
    if (!(found >= count && found <= count + unknown)) {
      this.wrong.push(`${key}: ${found} of ${count} acknowledged writes (${unknown} unknown)`);
    }
    counted.count = found;
    counted.unknown = 0;
  }
}

function openRouter(port: number): Promise<CommandLink> {
  const address = { host: "127.0.0.1", port };
  return openNodeSocket(address, { clock: systemClock, silenceMsMax: 60_000 });
}

/** undefined: the reply does not say. */
function answeredCount({ name }: Kind, reply: RespValue | undefined): number | undefined {
  if (reply === undefined || name === "set" || name === "stream") return undefined;
  const value = name === "multi" ? itemsOf(reply)[0] : reply;
  return Number(textOf(value) ?? numberOf(value));
}
