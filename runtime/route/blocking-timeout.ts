// blocking-timeout.ts: how long a blocking command may wait, read from its arguments and written into them anew. Pure.
//
//   BLPOP a b 5            the last argument, seconds
//   BLMPOP 5 1 a LEFT      the first, seconds
//   XREAD BLOCK 5000 ...   after BLOCK, milliseconds
//
// Zero waits for ever. The time that is left is never written as zero: the least that is asked for is a millisecond.
import { encodeCommand } from "../resp/encode.ts";
import { isWord } from "./keys.ts";

export interface BlockingTimeout {
  /** Which argument it is. */
  readonly at: number;
  readonly unit: "s" | "ms";
  /** Infinity: for ever. */
  readonly timeoutMs: number;
}

const FIRST: ReadonlySet<string> = new Set(["blmpop", "bzmpop"]);
const LAST: ReadonlySet<string> = new Set(
  "blpop brpop blmove brpoplpush bzpopmin bzpopmax".split(" "),
);
const STREAMS: ReadonlySet<string> = new Set(["xread", "xreadgroup"]);

/** Undefined when the command has none that is known here, or one that Redis will refuse. */
export function blockingTimeout(args: readonly Buffer[]): BlockingTimeout | undefined {
  const name = args[0]?.toString("latin1", 0, 32).toLowerCase() ?? "";
  if (STREAMS.has(name)) {
    const end = args.findIndex((arg) => isWord(arg, "streams"));
    const block = args.findIndex((arg) => isWord(arg, "block"));
    return block === -1 || end < block ? undefined : timeoutAt(args, block + 1, "ms");
  }
  if (FIRST.has(name)) return timeoutAt(args, 1, "s");
  return LAST.has(name) ? timeoutAt(args, args.length - 1, "s") : undefined;
}

function timeoutAt(
  args: readonly Buffer[],
  at: number,
  unit: "s" | "ms",
): BlockingTimeout | undefined {
  const text = args[at]?.toString("latin1", 0, 32) ?? "";
  if (!/^\d{1,15}(?:\.\d{0,15})?$/.test(text)) return undefined;
  const timeoutMs = unit === "s" ? Number(text) * 1000 : Number(text);
  return { at, unit, timeoutMs: timeoutMs === 0 ? Number.POSITIVE_INFINITY : timeoutMs };
}

/** The same command for the `leftMs` that are left of its time. */
export function withTimeLeft(
  args: readonly Buffer[],
  timeout: BlockingTimeout,
  leftMs: number,
): Buffer {
  if (leftMs === Number.POSITIVE_INFINITY) return encodeCommand(args);
  const ms = Math.max(Math.ceil(leftMs), 1);
  const text = timeout.unit === "s" ? String(ms / 1000) : String(ms);
  return encodeCommand(args.map((arg, at) => (at === timeout.at ? Buffer.from(text) : arg)));
}
