// keys.ts: finds the keys of a command by its server's key specs. Pure.
//
//   ZUNIONSTORE dst 2 a b      begin index 1, range                 -> dst
//               |   |_____     begin index 2, count at 0, first 1   -> a b
//   XREAD COUNT 1 STREAMS s t 0 0   begin after STREAMS, half of the rest -> s t
//
// For some commands the specs say "unknown", or could mistake a value for a keyword. Those are parsed here by their own
// grammar, as in Redis (src/db.c, sortGetKeys and xreadGetKeys). For other commands, of newer servers or modules, the
// router sends COMMAND GETKEYS.
import type { CommandSpec, KeySpec } from "./command-table.ts";

export type FoundKeys =
  /** Indices into the arguments, ascending, without duplicates. */
  | { readonly kind: "keys"; readonly indices: readonly number[] }
  /** The count before the keys is not a number, or reaches beyond the end: Redis will refuse the command. */
  | { readonly kind: "malformed" };

/** `hashTag`: if set, SORT's patterns with a whole tag are keys too, because all keys that they make share the tag. */
export function keysOf(spec: CommandSpec, args: readonly Buffer[], hashTag?: string): FoundKeys {
  const indices = new Set<number>();
  const streams = READS_STREAMS.has(spec.name) ? streamOptions(args) : undefined;
  if (streams !== undefined) return { kind: "keys", indices: streams.keys };
  for (const keySpec of spec.keys) {
    const found = rangeOf(keySpec, args);
    if (found === "malformed") return { kind: "malformed" };
    for (const index of found) indices.add(index);
  }
  if (SORTS.has(spec.name)) {
    const { store, patterns } = sortOptions(args);
    const tagged = patterns.filter((index) => hasWholeTag(args[index], hashTag));
    for (const index of [...store, ...tagged]) indices.add(index);
  }
  return { kind: "keys", indices: [...indices].sort((a, b) => a - b) };
}

const SORTS: ReadonlySet<string> = new Set(["sort", "sort_ro"]);
const READS_STREAMS: ReadonlySet<string> = new Set(["xread", "xreadgroup"]);

/** Whether only the server can find all keys of this command. */
export function mustAskForKeys(spec: CommandSpec): boolean {
  if (!spec.flags.has("movablekeys") || SORTS.has(spec.name)) return false;
  return spec.keys.length === 0 || spec.keys.some(isPartial);
}

function isPartial(keySpec: KeySpec): boolean {
  const { begin, find } = keySpec;
  return keySpec.isIncomplete || begin.kind === "unknown" || find.kind === "unknown";
}

function rangeOf(spec: KeySpec, args: readonly Buffer[]): readonly number[] | "malformed" {
  const start = startOf(spec, args);
  if (start === undefined || start >= args.length) return [];
  const { find } = spec;
  switch (find.kind) {
    case "unknown":
      return [];
    case "range": {
      const rest = args.length - start;
      // A limit of 2 means half of the rest, as for the ids that follow the streams of XREAD.
      const isHalf = find.lastKey === -1 && find.limit > 1;
      const last = isHalf
        ? start + Math.floor(rest / find.limit) - 1
        : find.lastKey < 0
          ? args.length + find.lastKey
          : start + find.lastKey;
      return last < args.length ? steps(start, last, find.keyStep) : "malformed";
    }
    case "keynum": {
      const text = args[start + find.keyNumIndex]?.toString("latin1") ?? "";
      if (!/^\d{1,9}$/.test(text)) return "malformed";
      const count = Number(text);
      const first = start + find.firstKey;
      const last = first + (count - 1) * find.keyStep;
      return last < args.length ? steps(first, last, find.keyStep) : "malformed";
    }
  }
}

function startOf({ begin }: KeySpec, args: readonly Buffer[]): number | undefined {
  if (begin.kind === "unknown") return undefined;
  if (begin.kind === "index") return begin.index;
  // A negative start searches backwards from the end.
  const step = begin.startFrom < 0 ? -1 : 1;
  const from = begin.startFrom < 0 ? args.length + begin.startFrom : begin.startFrom;
  for (let index = from; index > 0 && index < args.length; index += step) {
    if (isWord(args[index], begin.keyword)) return index + 1;
  }
  return undefined;
}

function steps(first: number, last: number, step: number): number[] {
  const indices: number[] = [];
  for (let index = first; index <= last; index += Math.max(step, 1)) indices.push(index);
  return indices;
}

/** The options of SORT that name keys, or patterns for keys: indices into the arguments. The last STORE counts, at any
    position where an option may be. */
export function sortOptions(args: readonly Buffer[]): {
  readonly store: readonly number[];
  readonly patterns: readonly number[];
} {
  let store: number[] = [];
  const patterns: number[] = [];
  for (let index = 2; index < args.length; index++) {
    if (isWord(args[index], "limit")) index += 2;
    else if (isWord(args[index], "store") && index + 1 < args.length) store = [++index];
    else if (isWord(args[index], "by") || isWord(args[index], "get")) {
      index++;
      // Without an asterisk it is not a pattern: BY nosort, GET #.
      if (args[index]?.includes("*") === true) patterns.push(index);
    }
  }
  return { store, patterns };
}

/** Whether every key made from the pattern has the same tag. The tag must come before the asterisk, because the value
    that replaces the asterisk could contain the tag's characters. */
export function hasWholeTag(pattern: Buffer | undefined, hashTag: string | undefined): boolean {
  const [opening, closing] = hashTag ?? "";
  if (pattern === undefined || opening === undefined || closing === undefined) return false;
  const [fixed = ""] = pattern.toString("latin1").split("*", 1);
  const from = fixed.indexOf(opening);
  const to = from === -1 ? -1 : fixed.indexOf(closing, from + 1);
  return to > from + 1;
}

/** The option BLOCK and the streams of XREAD or XREADGROUP; undefined if an option is unknown. */
export function streamOptions(
  args: readonly Buffer[],
): { readonly keys: readonly number[]; readonly blocks: boolean } | undefined {
  let blocks = false;
  let index = 1;
  for (; index < args.length && !isWord(args[index], "streams"); index++) {
    if (isWord(args[index], "block")) blocks = true;
    const skipped = STREAM_WORDS.find(([word]) => isWord(args[index], word))?.[1];
    if (skipped === undefined) return undefined;
    index += skipped;
  }
  const rest = args.length - index - 1;
  // An odd number of streams and ids: Redis will refuse it.
  const count = rest > 0 && rest % 2 === 0 ? rest / 2 : 0;
  return { keys: Array.from({ length: count }, (_, at) => index + 1 + at), blocks };
}

/** Each option with its number of values. */
const STREAM_WORDS: readonly (readonly [word: string, following: number])[] = [
  ["block", 1],
  ["count", 1],
  ["group", 2],
  ["noack", 0],
];

/** Whether an argument is that word, in any case. `word` is lower case. */
export function isWord(arg: Buffer | undefined, word: string): boolean {
  return arg?.length === word.length && arg.toString("latin1").toLowerCase() === word;
}
