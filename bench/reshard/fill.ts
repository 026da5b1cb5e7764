// fill.ts: keys of every type whose values follow from their names, so that each can be checked after a move.
import { itemsOf, numberOf, textOf, type RespValue } from "../../runtime/resp/value.ts";
import type { CommandLink } from "../../test/support/counted-writer.ts";

interface Kind {
  readonly write: (key: string, value: string) => readonly (readonly string[])[];
  readonly read: (key: string, value: string) => readonly string[];
  /** By the reply to `read`. */
  readonly isRight: (reply: RespValue, value: string) => boolean;
}

const text: Kind = {
  write: (key, value) => [["SET", key, value]],
  read: (key) => ["GET", key],
  isRight: (reply, value) => textOf(reply) === value,
};

/** Half of them are strings. */
const KINDS: readonly Kind[] = [
  ...[text, text, text, text],
  { ...text, write: (key, value) => [["SET", key, value, "EX", "50000"]] },
  {
    write: (key, value) => [["HSET", key, "f", value]],
    read: (key) => ["HGET", key, "f"],
    isRight: (reply, value) => textOf(reply) === value,
  },
  {
    write: (key, value) => [["RPUSH", key, "a", value]],
    read: (key) => ["LRANGE", key, "0", "-1"],
    isRight: (reply, value) => itemsOf(reply).map(textOf).join() === `a,${value}`,
  },
  {
    write: (key, value) => [["SADD", key, value]],
    read: (key, value) => ["SISMEMBER", key, value],
    isRight: (reply) => numberOf(reply) === 1,
  },
  {
    write: (key, value) => [["ZADD", key, value, "m"]],
    read: (key) => ["ZSCORE", key, "m"],
    isRight: (reply, value) => textOf(reply) === value,
  },
  {
    write: (key, value) => [
      ["XADD", key, "1-1", "f", value],
      ["XGROUP", "CREATE", key, "g", "1-1"],
    ],
    read: (key) => ["XINFO", "GROUPS", key],
    isRight: (reply) => itemsOf(reply).length === 1,
  },
];

const PIPELINE = 500;

async function each(count: number, task: (index: number) => Promise<unknown>): Promise<void> {
  for (let first = 0; first < count; first += PIPELINE) {
    const length = Math.min(PIPELINE, count - first);
    await Promise.all(Array.from({ length }, (_, at) => task(first + at)));
  }
}

const kindOf = (index: number): Kind => KINDS[index % KINDS.length] ?? text;

export function fillKeys(link: CommandLink, count: number): Promise<void> {
  return each(count, (index) =>
    Promise.all(
      kindOf(index)
        .write(`fill:${index}`, `${index}`)
        .map((words) => link.call(...words)),
    ),
  );
}

/** The keys that are gone, or have another value. */
export async function wrongKeys(link: CommandLink, count: number): Promise<string[]> {
  const wrong: string[] = [];
  await each(count, async (index) => {
    const kind = kindOf(index);
    const key = `fill:${index}`;
    const isRight = await link.call(...kind.read(key, `${index}`)).then(
      (reply) => kind.isRight(reply, `${index}`),
      () => false,
    );
    if (!isRight) wrong.push(key);
  });
  return wrong;
}
