// blocking-timeout.ts: reads and replaces the timeout in the arguments of a blocking command. Pure.
//
//   BLPOP a b 5            the last argument, seconds
//   BLMPOP 5 1 a LEFT      the first, seconds
//   XREAD BLOCK 5000 ...   after BLOCK, milliseconds
//
// Zero means no timeout. A remaining timeout is never written as zero: the least is one millisecond.
import { encodeCommand } from "../../resp/encode.ts";
import { isWord } from "../commands/keys.ts";

export interface BlockingTimeout {
  /** The index of the argument. */
  readonly at: number;
  readonly unit: "s" | "ms";
  /** Infinity: no timeout. */
  readonly timeoutMs: number;
}

const FIRST: ReadonlySet<string> = new Set(["blmpop", "bzmpop"]);
const LAST: ReadonlySet<string> = new Set(
  "blpop brpop blmove brpoplpush bzpopmin bzpopmax".split(" "),
);
const STREAMS: ReadonlySet<string> = new Set(["xread", "xreadgroup"]);

/** Whether a command may block; works before any node has reported its commands. XREAD and XREADGROUP block with BLOCK. */
export function mayBlock(args: readonly Buffer[]): boolean {
  const name = nameOf(args);
  return FIRST.has(name) || LAST.has(name) || (STREAMS.has(name) && hasBlock(args));
}

function nameOf(args: readonly Buffer[]): string {
  return args[0]?.toString("latin1", 0, 32).toLowerCase() ?? "";
}

function hasBlock(args: readonly Buffer[]): boolean {
  return args.some((arg) => isWord(arg, "block"));
}

/** undefined if the command has no known timeout, or an invalid one, which Redis will refuse. */
export function blockingTimeout(args: readonly Buffer[]): BlockingTimeout | undefined {
  const name = nameOf(args);
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

/** The same command with the remaining timeout `leftMs`. */
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
