// fuzz-inputs.ts: what hostile and broken clients send to a router: good commands, mutated ones, noise. Seeded.
// Every key, value and channel of one client bears its mark, and no command shows what others have, so that a foreign
// mark among its replies proves that replies were mixed.
import { encodeCommand } from "../../runtime/resp/encode.ts";
import type { SeededRandom } from "./seeded-random.ts";

const SCRIPT = "return redis.call('get', KEYS[1])";

/** A mark that no mutation turns into another client's: 16 hex digits. */
export function markOf(random: SeededRandom): string {
  const half = (): string =>
    random
      .below(2 ** 32)
      .toString(16)
      .padStart(8, "0");
  return `<${half()}${half()}>`;
}

export const MARK = /<[0-9a-f]{16}>/g;

/** One whole command, well formed, of a client with that mark. */
function goodCommand(random: SeededRandom, mark: string): string[] {
  const key = (): string => `${mark}${random.below(20)}`;
  const value = `${mark}${"v".repeat(random.isOnceIn(20) ? random.below(40_000) : random.below(60))}`;
  const keys = (): string[] => Array.from({ length: 1 + random.below(6) }, key);
  const choices: (() => string[])[] = [
    () => ["SET", key(), value],
    () => ["GET", key()],
    () => ["MSET", ...keys().flatMap((name) => [name, value])],
    () => ["MGET", ...keys()],
    () => ["DEL", ...keys()],
    () => ["EXISTS", ...keys()],
    () => ["INCR", `${mark}n`],
    () => ["APPEND", key(), value],
    () => ["LPUSH", `${mark}l`, value],
    () => ["LRANGE", `${mark}l`, "0", "5"],
    () => ["HSET", `${mark}h`, key(), value],
    () => ["HGETALL", `${mark}h`],
    () => ["SINTER", key(), key()],
    () => ["ECHO", mark],
    () => ["PING"],
    () => ["PING", mark],
    () => ["HELLO", random.pick(["2", "3", "4"])],
    () => ["CLIENT", random.pick(["ID", "GETNAME", "NONSENSE"])],
    () => ["CLIENT", "SETNAME", `c${random.below(9)}`],
    () => ["MULTI"],
    () => ["EXEC"],
    () => ["DISCARD"],
    () => ["WATCH", key()],
    () => ["EVAL", SCRIPT, "1", key()],
    () => ["BLPOP", `${mark}l`, "0.01"],
    () => ["SUBSCRIBE", mark],
    () => ["UNSUBSCRIBE"],
    () => ["PUBLISH", mark, value],
    () => ["SELECT", random.pick(["0", "1", "x"])],
    () => ["OBJECT", "ENCODING", key()],
    () => ["COMMAND", "COUNT"],
    () => ["RESET"],
    () => ["NONSENSE", mark],
    () => ["GET"],
    () => ["MSET", key()],
  ];
  return random.pick(choices)();
}

const NUMBERS = [
  "-1",
  "-2",
  "0",
  "1",
  "99",
  "1048577",
  "2147483648",
  "99999999999999999999",
  "1e3",
];

/** Bytes with one thing about them changed. */
function mutated(random: SeededRandom, bytes: Buffer): Buffer {
  const at = random.below(bytes.length + 1);
  const until = Math.min(bytes.length, at + 1 + random.below(8));
  const [before, middle, after] = [
    bytes.subarray(0, at),
    bytes.subarray(at, until),
    bytes.subarray(until),
  ];
  switch (random.below(7)) {
    case 0: {
      const flipped = Buffer.from(bytes);
      if (at < flipped.length) flipped[at] = (flipped[at] ?? 0) ^ (1 << random.below(8));
      return flipped;
    }
    case 1:
      return Buffer.concat([before, after]);
    case 2:
      return Buffer.concat([before, middle, middle, after]);
    case 3:
      return Buffer.concat([before, noise(random, 1 + random.below(6)), middle, after]);
    case 4:
      return before;
    case 5: {
      const text = bytes.toString("latin1");
      return Buffer.from(text.replace(/\d+/, random.pick(NUMBERS)), "latin1");
    }
    default:
      return Buffer.concat([before, Buffer.from("\r\n"), middle, after]);
  }
}

function noise(random: SeededRandom, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random.below(256)));
}

const FRAGMENTS = [
  "*1\r\n*1\r\n*1\r\n",
  "*3\r\n$3\r\nSET\r\n",
  "$5\r\nhello\r\n",
  "*-1\r\n*0\r\n\r\n\r\n",
  "*1\r\n$-1\r\n",
  ">2\r\n+a\r\n",
  "%1\r\n+a\r\n+b\r\n",
  'GET "x\\x4"\r\n',
  "GET 'a\r\n",
  "POST / HTTP/1.1\r\nHost: x\r\n",
  "\u0016\u0003\u0001",
  "\0\0\0\0",
];

/** One input: whatever a client may send next; of a client that isn't `wild`, mostly what is well formed, so that its
    connection lives long enough for the rest to meet a state. */
export function fuzzInput(random: SeededRandom, mark: string, wild: boolean): Buffer {
  const args = goodCommand(random, mark);
  const isInline = random.isOnceIn(10);
  const good = isInline ? Buffer.from(`${args.join(" ")}\r\n`) : encodeCommand(args);
  switch (random.below(wild ? 20 : 400)) {
    case 0:
      return noise(random, 1 + random.below(200));
    case 1:
      return Buffer.from(random.pick(FRAGMENTS), "latin1");
    case 2:
      return mutated(random, mutated(random, good));
    case 3:
    case 4:
    case 5:
      return mutated(random, good);
    default:
      return good;
  }
}
