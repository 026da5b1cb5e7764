// held-expiry.ts: times of expiry in commands that are loaded from a file, held back until all of them are loaded. Pure.
//
//   SET a 1 PXAT t  --> SET a 1 PXAT t + SHIFT     ...     at the end, if its TTL is still that far off: a's TTL - SHIFT
//
// A time that has passed would end a key at once, and a later PERSIST, PEXPIREAT or INCR of the file would find nothing.
// Redis itself lets nothing expire while it loads. All times are moved by the same span, so that RENAME, COPY, KEEPTTL,
// GT and LT do with them what they did; only absolute ones, because a relative time begins anew whoever loads it.
// Times of a hash's fields (HPEXPIREAT, Redis 7.4) are sent as they are.

/** Some three thousand years: no real TTL reaches half of it, and sums with it stay exact in a double. */
const SHIFT_MS = 1e14;

/** PTTL and PEXPIRE of one script see the same clock: not a millisecond is lost. A time that has passed ends the key. */
const RELEASE = [
  "local left = redis.call('PTTL', KEYS[1])",
  "local shift = tonumber(ARGV[1])",
  "if left < shift / 2 then return 0 end",
  "return redis.call('PEXPIRE', KEYS[1], string.format('%.0f', left - shift))",
].join("\n");

type Command = readonly Buffer[];

export class HeldExpiry {
  /** Keys that may have a moved time, as latin1: a key is bytes. */
  readonly #keys = new Set<string>();

  /** The command to send in the place of `args`: the same one, or one whose time of expiry is moved. */
  hold(args: Command): Command {
    const [name = "", key = "", second = ""] = args
      .slice(0, 3)
      .map((arg) => arg.toString("latin1"));
    switch (name.toLowerCase()) {
      case "rename":
      case "renamenx":
      case "copy":
        if (this.#keys.has(key)) this.#keys.add(second);
        return args;
      case "pexpireat":
        return this.#moved(args, key, 2, SHIFT_MS);
      case "expireat":
        return this.#moved(args, key, 2, SHIFT_MS / 1000);
      case "set":
        return this.#movedOption(args, key, 3);
      case "getex":
        return this.#movedOption(args, key, 2);
      case "restore": {
        const isAbsolute = args.slice(4).some((arg) => wordOf(arg) === "absttl");
        return isAbsolute && second !== "0" ? this.#moved(args, key, 2, SHIFT_MS) : args;
      }
      default:
        return args;
    }
  }

  /** What is sent when everything is loaded: the keys get their own times of expiry. */
  *releases(): Generator<Command> {
    const [script, one, shift] = [RELEASE, "1", String(SHIFT_MS)].map((text) => Buffer.from(text));
    if (script === undefined || one === undefined || shift === undefined) return;
    for (const key of this.#keys) {
      yield [Buffer.from("EVAL"), script, one, Buffer.from(key, "latin1"), shift];
    }
  }

  #movedOption(args: Command, key: string, from: number): Command {
    const option = args.findIndex(
      (arg, index) => index >= from && ["pxat", "exat"].includes(wordOf(arg)),
    );
    const word = args[option];
    if (word === undefined) return args;
    return this.#moved(args, key, option + 1, wordOf(word) === "pxat" ? SHIFT_MS : SHIFT_MS / 1000);
  }

  #moved(args: Command, key: string, index: number, shift: number): Command {
    const text = args[index]?.toString("latin1") ?? "";
    // The node says what is wrong with anything else.
    if (!/^-?\d{1,15}$/.test(text)) return args;
    this.#keys.add(key);
    return args.with(index, Buffer.from(String(Number(text) + shift)));
  }
}

function wordOf(arg: Buffer): string {
  return arg.length > 6 ? "" : arg.toString("latin1").toLowerCase();
}
