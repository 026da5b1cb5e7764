// transfers.ts: movers of amounts between keys of two partitions, and the sum of all, which is zero at every moment.
//
//   mover i:  MULTI  DECRBY from x   SET sent "n x"  EXEC   in one partition, then
//             MULTI  INCRBY to x     SET got n       EXEC   in the other
//
// What is on its way is in neither account; `sent` and `got` say how much that is. A state of no one moment gives another
// sum, or says that a transfer arrived before it was sent.
import { crc32 } from "node:zlib";
import { openRedisLink, type RedisLink } from "../../runtime/ports/redis-link.ts";

interface Mover {
  /** Partition of `from` and `sent`; `to` and `got` are in the other. */
  readonly source: 0 | 1;
  readonly from: string;
  readonly sent: string;
  readonly to: string;
  readonly got: string;
}

/** Half of them move from partition 0 to 1, half back. */
export function moversOf(count: number): Mover[] {
  const keyIn = (partition: number, name: string): string => {
    for (let suffix = 0; ; suffix++) {
      const key = `${name}:${suffix}`;
      if (crc32(key) % 2 === partition) return key;
    }
  };
  return Array.from({ length: count }, (_, at) => {
    const source = at % 2 === 0 ? 0 : 1;
    return {
      source,
      from: keyIn(source, `from${at}`),
      sent: keyIn(source, `sent${at}`),
      to: keyIn(1 - source, `to${at}`),
      got: keyIn(1 - source, `got${at}`),
    };
  });
}

export interface Transfers {
  /** Transfers until now. */
  readonly count: number;
  stop(): Promise<void>;
}

/** Moves amounts straight at the masters on these ports, each mover one transfer after the other, until it is stopped. */
export async function startTransfers(
  movers: readonly Mover[],
  ports: readonly [number, number],
): Promise<Transfers> {
  const links = await Promise.all(
    ports.map((port) => openRedisLink({ host: "127.0.0.1", port }, { connectTimeoutMs: 5000 })),
  );
  let isStopped = false;
  let count = 0;
  const moved = movers.map(async ({ source, from, sent, to, got }) => {
    const [giver, taker] = [links[source], links[1 - source]] as [RedisLink, RedisLink];
    for (let number = 1; !isStopped; number++) {
      const amount = 1 + ((number * 7919) % 1000);
      await atOnce(giver, ["DECRBY", from, amount], ["SET", sent, `${number} ${amount}`]);
      await atOnce(taker, ["INCRBY", to, amount], ["SET", got, number]);
      count++;
    }
  });
  // Whoever stops it sees what went wrong.
  for (const one of moved) one.catch(() => undefined);
  return {
    get count() {
      return count;
    },
    stop: async () => {
      isStopped = true;
      try {
        await Promise.all(moved);
      } finally {
        for (const link of links) link.close();
      }
    },
  };
}

/** Sent in one turn, so that no other mover's command comes between. */
async function atOnce(
  link: RedisLink,
  ...commands: readonly (readonly [string, ...(string | number)[]])[]
): Promise<void> {
  const sent = [["MULTI"] as const, ...commands, ["EXEC"] as const];
  await Promise.all(sent.map(([name, ...args]) => link.call(name, ...args)));
}

/** What is wrong with a restored state; empty when the sum is zero. `read` gives the values of keys of one partition. */
export async function wrongSums(
  movers: readonly Mover[],
  read: (partition: number, keys: readonly string[]) => Promise<readonly unknown[]>,
): Promise<string[]> {
  const wrong: string[] = [];
  let sum = 0;
  const values = new Map<string, unknown>();
  for (const partition of [0, 1]) {
    const keys = movers.flatMap(({ source, from, sent, to, got }) =>
      source === partition ? [from, sent] : [to, got],
    );
    const found = await read(partition, keys);
    for (const [at, key] of keys.entries()) values.set(key, found[at]);
  }
  const textAt = (key: string): string => (values.get(key) as string | null) ?? "0";
  for (const { from, sent, to, got } of movers) {
    const [number = 0, amount = 0] = textAt(sent).split(" ").map(Number);
    const underWay = number - Number(textAt(got));
    if (underWay !== 0 && underWay !== 1) wrong.push(`${sent} is ${underWay} ahead of ${got}`);
    sum += Number(textAt(from)) + Number(textAt(to)) + (underWay === 1 ? amount : 0);
  }
  if (sum !== 0) wrong.push(`the sum is ${sum} instead of 0`);
  return wrong;
}
