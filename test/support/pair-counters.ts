// pair-counters.ts: writers whose every moment is known: of each pair the counter in one partition is always counted up before
// the one in another. So at any moment b <= a <= b + 1, and a state for which that is not true is of no one moment.
import { crc32 } from "node:zlib";
import { openRedisLink, type RedisLink } from "../../runtime/ports/redis-link.ts";

export interface Pair {
  readonly a: string;
  readonly b: string;
}

/** Keys of partitions 0 and 1 of two. */
export function pairsOf(count: number): Pair[] {
  const keyIn = (partition: number, name: string): string => {
    for (let suffix = 0; ; suffix++) {
      const key = `${name}:${suffix}`;
      if (crc32(key) % 2 === partition) return key;
    }
  };
  return Array.from({ length: count }, (_, at) => ({
    a: keyIn(0, `a${at}`),
    b: keyIn(1, `b${at}`),
  }));
}

export interface PairWriters {
  /** Counts of all pairs until now. */
  readonly counts: number;
  stop(): Promise<void>;
}

/** Writes all pairs at once, straight to the masters on these ports, until it is stopped. */
export async function startPairWriters(
  pairs: readonly Pair[],
  ports: readonly [number, number],
): Promise<PairWriters> {
  const links = await Promise.all(
    ports.map((port) => openRedisLink({ host: "127.0.0.1", port }, { connectTimeoutMs: 5000 })),
  );
  const [first, second] = links as [RedisLink, RedisLink];
  let isStopped = false;
  let counts = 0;
  const written = pairs.map(async ({ a, b }) => {
    while (!isStopped) {
      await first.call("INCR", a);
      await second.call("INCR", b);
      counts++;
    }
  });
  // Whoever stops it sees what went wrong.
  for (const one of written) one.catch(() => undefined);
  return {
    get counts() {
      return counts;
    },
    stop: async () => {
      isStopped = true;
      try {
        await Promise.all(written);
      } finally {
        for (const link of links) link.close();
      }
    },
  };
}

/** The pairs that no one moment has seen, with their values; `read` gives the values of keys of one partition. */
export async function tornPairs(
  pairs: readonly Pair[],
  read: (partition: number, keys: readonly string[]) => Promise<readonly unknown[]>,
): Promise<string[]> {
  const [as, bs] = await Promise.all([
    read(
      0,
      pairs.map(({ a }) => a),
    ),
    read(
      1,
      pairs.map(({ b }) => b),
    ),
  ]);
  return pairs.flatMap(({ a }, at) => {
    const ahead = Number(as[at] ?? 0) - Number(bs[at] ?? 0);
    return ahead === 0 || ahead === 1 ? [] : [`${a} is ${ahead} ahead`];
  });
}
