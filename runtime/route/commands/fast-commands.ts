// fast-commands.ts: finds the commands of the fast path by their bytes alone, without making a string. Pure.
//
//   GET a     one key, the first argument, and no rule of its own: sent whole to that key's partition   ONE_KEY
//   MGET a b  a key in every argument (MSET: in every second): sent whole, or split by partition        SPLIT_*
//
// All other commands go through decide.ts, which handles all cases. This table only has commands for which decide.ts
// always returns the same decision. It is built once from the server's table.
import type { CommandSpec, CommandTable } from "./command-table.ts";
import { ruleOf } from "./policy.ts";
import type { SplitShape } from "../replies/split.ts";

export const ONE_KEY = 1;
export const SPLIT = 2;

export interface FastCommand {
  readonly kind: typeof ONE_KEY | typeof SPLIT;
  /** Lower case. */
  readonly name: Buffer;
  readonly isRead: boolean;
  /** As in the server's table: with the name; negative: at least that many. */
  readonly arity: number;
  /** Only for SPLIT. */
  readonly shape: SplitShape | undefined;
  /** The command's index in statistics. */
  readonly number: number;
}

const UPPER_A = 65;
const UPPER_Z = 90;

/** The rule depends on options after the key. */
const LOOKS_AT_OPTIONS: ReadonlySet<string> = new Set(["sort", "sort_ro", "copy"]);

export class FastCommands {
  /** Open addressing by nameHash. The size is a power of two, at most half of it is used. */
  readonly #slots: (FastCommand | undefined)[];
  readonly #mask: number;
  #last: FastCommand | undefined;

  constructor(table: CommandTable, numberOf: (name: string) => number = () => 0) {
    const commands = [...table.values()].flatMap((spec) => {
      const command = hotCommandOf(spec, numberOf(spec.name));
      return command === undefined ? [] : [command];
    });
    let size = 64;
    while (size < commands.length * 4) size *= 2;
    this.#mask = size - 1;
    this.#slots = new Array<FastCommand | undefined>(size).fill(undefined);
    for (const command of commands) {
      let at = nameHash(command.name, 0, command.name.length) & this.#mask;
      while (this.#slots[at] !== undefined) at = (at + 1) & this.#mask;
      this.#slots[at] = command;
    }
  }

  /** The command whose name is bytes[start, end) in any case, if it may have `count` arguments including its name. */
  find(bytes: Buffer, start: number, end: number, count: number): FastCommand | undefined {
    // Most pipelines repeat one command.
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

function hotCommandOf(spec: CommandSpec, number: number): FastCommand | undefined {
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
  // One literal for both kinds: objects of one shape are read fastest, and this one is read for every command.
  return {
    kind: isSplit ? SPLIT : ONE_KEY,
    name: Buffer.from(spec.name),
    isRead,
    arity: spec.arity,
    shape: isSplit ? { ...rule, name: spec.name, isRead } : undefined,
    number,
  };
}

function fits({ arity, shape }: FastCommand, count: number): boolean {
  if (arity < 0 ? count < -arity : count !== arity) return false;
  return shape === undefined || (count - 1) % shape.keyStep === 0;
}

/** FNV-1a of the name in lower case. */
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
