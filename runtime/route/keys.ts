// keys.ts: where the keys stand in a command, by the key specs of its server. Pure.
//
//   ZUNIONSTORE dst 2 a b      begin index 1, range                 -> dst
//               |   |_____     begin index 2, count at 0, first 1   -> a b
//   XREAD COUNT 1 STREAMS s t 0 0   begin after STREAMS, half of what is left -> s t
//
// Two commands name keys where their specs only say "unknown" (SORT with STORE, and GEORADIUS before 7.0): those are
// read here by their own grammar, as Redis itself does (src/db.c, sortGetKeys).
import type { CommandSpec, KeySpec } from "./command-table.ts";

export type FoundKeys =
  /** Indices into the arguments, without doubles, ascending. */
  | { readonly kind: "keys"; readonly indices: readonly number[] }
  /** The count before the keys is no number or reaches beyond the end: Redis will refuse the command. */
  | { readonly kind: "malformed" };

export function keysOf(spec: CommandSpec, args: readonly Buffer[]): FoundKeys {
  const indices = new Set<number>();
  for (const keySpec of spec.keys) {
    const found = rangeOf(keySpec, args);
    if (found === "malformed") return { kind: "malformed" };
    for (const index of found) indices.add(index);
  }
  for (const index of storeKeys(spec.name, args)) indices.add(index);
  return { kind: "keys", indices: [...indices].sort((a, b) => a - b) };
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
      // A limit of 2 means half of what is left, as for the ids that follow the streams of XREAD.
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

/** SORT key ... STORE destination: the last STORE counts, wherever a word of the grammar may stand. */
function storeKeys(name: string, args: readonly Buffer[]): number[] {
  if (name !== "sort") return [];
  return sortOptions(args).store;
}

/** The parts of SORT's options that name keys, or make keys of the sorted values. */
export function sortOptions(args: readonly Buffer[]): {
  readonly store: number[];
  readonly hasPattern: boolean;
} {
  let store: number[] = [];
  let hasPattern = false;
  for (let index = 2; index < args.length; index++) {
    if (isWord(args[index], "limit")) index += 2;
    else if (isWord(args[index], "store") && index + 1 < args.length) store = [++index];
    else if (isWord(args[index], "by") || isWord(args[index], "get")) {
      hasPattern ||= args[++index]?.includes("*") ?? false;
    }
  }
  return { store, hasPattern };
}

/** Whether an argument is that word, in any case. `word` is lower case. */
export function isWord(arg: Buffer | undefined, word: string): boolean {
  return arg?.length === word.length && arg.toString("latin1").toLowerCase() === word;
}
