// hot-commands.ts: the commands that a router can send on by their bytes alone, found without making a string. Pure.
//
//   GET a     one key, the first argument, and no rule of its own: goes whole to that key's partition   ONE_KEY
//   MGET a b  a key in every argument (MSET: in every second): goes whole, or cut by partition          SPLIT_*
//
// Everything else takes the longer way through decide.ts, which knows all cases; this table only holds
// those for which that way would always give the same answer. It is made of the server's own table, once.
import type { CommandSpec, CommandTable } from "./command-table.ts";
import { ruleOf } from "./policy.ts";
import type { SplitShape } from "./split.ts";

export const ONE_KEY = 1;
export const SPLIT = 2;

export interface HotCommand {
  readonly kind: typeof ONE_KEY | typeof SPLIT;
  /** Lower case. */
  readonly name: Buffer;
  readonly isRead: boolean;
  /** As in the server's table: with the name; negative means at least that many. */
  readonly arity: number;
  /** Of SPLIT alone. */
  readonly shape: SplitShape | undefined;
  /** Whoever counts commands knows it by this. */
  readonly number: number;
}

const UPPER_A = 65;
const UPPER_Z = 90;

/** Decided by options that stand after the key. */
const LOOKS_AT_OPTIONS: ReadonlySet<string> = new Set(["sort", "sort_ro", "copy"]);

export class HotCommands {
  /** Open addressing by nameHash; a power of two, at most half full. */
  readonly #slots: (HotCommand | undefined)[];
  readonly #mask: number;
  #last: HotCommand | undefined;

  constructor(table: CommandTable, numberOf: (name: string) => number = () => 0) {
    const commands = [...table.values()].flatMap((spec) => {
      const command = hotCommandOf(spec, numberOf(spec.name));
      return command === undefined ? [] : [command];
    });
    let size = 64;
    while (size < commands.length * 4) size *= 2;
    this.#mask = size - 1;
    this.#slots = new Array<HotCommand | undefined>(size).fill(undefined);
    for (const command of commands) {
      let at = nameHash(command.name, 0, command.name.length) & this.#mask;
      while (this.#slots[at] !== undefined) at = (at + 1) & this.#mask;
      this.#slots[at] = command;
    }
  }

  /** The command whose name is bytes[start, end) in any case and which may have `count` arguments with its name. */
  find(bytes: Buffer, start: number, end: number, count: number): HotCommand | undefined {
    // A pipeline mostly repeats its command.
    const last = this.#last;
    if (last !== undefined && isName(last.name, bytes, start, end)) {
      return fits(last, count) ? last : undefined;
    }
    let at = nameHash(bytes, start, end) & this.#mask;
    for (;;) {
      const command = this.#slots[at];
      if (command === undefined) return undefined;
      if (isName(command.name, bytes, start, end)) {
        this.#last = command;
        return fits(command, count) ? command : undefined;
      }
      at = (at + 1) & this.#mask;
    }
  }
}

function hotCommandOf(spec: CommandSpec, number: number): HotCommand | undefined {
  const rule = ruleOf(spec);
  const isRead = spec.flags.has("readonly");
  const isSplit = rule.kind === "split";
  const [keys, ...more] = spec.keys;
  const isOneKey =
    more.length === 0 &&
    keys?.isIncomplete === false &&
    keys.begin.kind === "index" &&
    keys.begin.index === 1 &&
    keys.find.kind === "range" &&
    keys.find.lastKey === 0;
  const isPlain =
    rule.kind === "keys" && spec.subcommands.size === 0 && !LOOKS_AT_OPTIONS.has(spec.name);
  if (!isSplit && !(isOneKey && isPlain)) return undefined;
  // One literal for all of them: objects of one shape are read fastest, and this one is read for every command.
  return {
    kind: isSplit ? SPLIT : ONE_KEY,
    name: Buffer.from(spec.name),
    isRead,
    arity: spec.arity,
    shape: isSplit ? { ...rule, name: spec.name, isRead } : undefined,
    number,
  };
}

function fits({ arity, shape }: HotCommand, count: number): boolean {
  if (arity < 0 ? count < -arity : count !== arity) return false;
  return shape === undefined || (count - 1) % shape.keyStep === 0;
}

/** FNV-1a over the name in lower case. */
function nameHash(bytes: Buffer, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ lower(bytes[at] ?? 0), 0x01000193);
  return hash ^ (hash >>> 15);
}

function isName(name: Buffer, bytes: Buffer, start: number, end: number): boolean {
  if (name.length !== end - start) return false;
  for (let index = 0; index < name.length; index++) {
    if (name[index] !== lower(bytes[start + index] ?? 0)) return false;
  }
  return true;
}

function lower(byte: number): number {
  return byte >= UPPER_A && byte <= UPPER_Z ? byte + 32 : byte;
}
