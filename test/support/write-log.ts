// write-log.ts: writers through a router who note each write with its times, and what a restored state has to be by that, key
// by key. Each writer writes one value after the other, 1, 2, 3 ..., to keys of its own in all partitions: so a state of one
// moment holds each writer's writes up to one of them, and none behind it.
import { openRedisLink, type RedisLink } from "../../runtime/ports/redis-link.ts";

export interface Write {
  readonly key: string;
  readonly partition: number;
  readonly value: number;
  /** Unix milliseconds. */
  readonly sentMs: number;
  /** undefined: it got no answer, so it may have been executed or not. */
  answeredMs: number | undefined;
  /** A master died soon after it: what that one had acknowledged alone is lost. */
  mayBeLost: boolean;
}

export interface Writer {
  readonly keys: readonly { readonly key: string; readonly partition: number }[];
  readonly writes: readonly Write[];
}

export interface Writers {
  readonly writers: readonly Writer[];
  /** Until now, of all writers. */
  readonly count: number;
  /** The partition's writes answered since then may be lost. */
  lost(partition: number, sinceMs: number): void;
  stop(): Promise<void>;
}

const CALL_MS = 20_000;

/** `keysOf`: of each writer. All write at once. */
export function startWriters(port: number, keysOf: readonly Writer["keys"][]): Writers {
  let isStopped = false;
  const writers = keysOf.map((keys) => ({ keys, writes: [] as Write[] }));
  const written = writers.map(async ({ keys, writes }) => {
    let link: RedisLink | undefined;
    for (let value = 1; !isStopped; value++) {
      const { key, partition } = keys[(value * 7) % keys.length] ?? { key: "", partition: 0 };
      try {
        link ??= await openRedisLink(
          { host: "127.0.0.1", port },
          { connectTimeoutMs: 5000, commandTimeoutMs: CALL_MS },
        );
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 50));
        value--;
        continue;
      }
      const write: Write = {
        ...{ key, partition, value, sentMs: Date.now(), answeredMs: undefined, mayBeLost: false },
      };
      writes.push(write);
      try {
        await link.call("SET", key, String(value));
        write.answeredMs = Date.now();
      } catch {
        link.close();
        link = undefined;
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    link?.close();
  });
  return {
    writers,
    get count() {
      return writers.reduce((sum, { writes }) => sum + writes.length, 0);
    },
    lost: (partition, sinceMs) => {
      for (const write of writers.flatMap(({ writes }) => writes)) {
        const isSince = write.answeredMs === undefined || write.answeredMs >= sinceMs;
        if (write.partition === partition && isSince) write.mayBeLost = true;
      }
    },
    stop: async () => {
      isStopped = true;
      await Promise.all(written);
    },
  };
}

export interface Compared {
  /** Keys that are not what they were at any one moment, in words. */
  readonly wrong: readonly string[];
  /** When the newest write that is there was sent, Unix milliseconds; 0: there is none. */
  readonly newestSentMs: number;
  /** When the oldest write that is missing was answered; Infinity: none is missing. */
  readonly missingSinceMs: number;
}

/** What a state holds of one writer, of the partitions asked for. `valueOf`: 0 where there is no key. Pure. */
export function compareWriter(
  { keys, writes }: Writer,
  isAsked: (partition: number) => boolean,
  valueOf: (key: string) => number,
): Compared {
  const asked = writes.filter(({ partition }) => isAsked(partition));
  const own = keys.filter(({ partition }) => isAsked(partition));
  const newest = Math.max(0, ...own.map(({ key }) => valueOf(key)));
  const wrong: string[] = [];
  for (const { key } of own) {
    const value = valueOf(key);
    const until = asked.filter((write) => write.key === key && write.value <= newest);
    const isSure = ({ answeredMs, mayBeLost }: Write): boolean =>
      answeredMs !== undefined && !mayBeLost;
    const lastSure = until.findLast(isSure)?.value ?? 0;
    const isPossible =
      value === lastSure || until.some((write) => write.value === value && value > lastSure);
    if (!isPossible) wrong.push(`${key} is ${value}, not ${lastSure}, at write ${newest}`);
  }
  const missing = asked.filter(
    ({ value, answeredMs, mayBeLost }) => value > newest && answeredMs !== undefined && !mayBeLost,
  );
  return {
    wrong,
    newestSentMs: asked.find(({ value }) => value === newest)?.sentMs ?? 0,
    missingSinceMs: Math.min(Infinity, ...missing.map(({ answeredMs }) => answeredMs ?? Infinity)),
  };
}
