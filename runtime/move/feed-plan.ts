// feed-plan.ts: what a source's change feed means for targets that divide its keys in another way. Pure.
//
//   commands of the feed --> all keys of one command have the same target  --> the command goes there as it is
//                        --> DEL, UNLINK, MSET over several targets         --> one part for each
//                        --> any other over several targets                 --> its keys are copied anew
//                        --> what empties or swaps a database, or is unknown --> everything begins anew
//
// A key that is copied anew has its value as of an offset behind these commands. So what the feed says of it up to there is
// left out, and a command that joins it with other keys has those copied too: a target never executes a command on values of
// two different moments.
// What a feed holds is in https://redis.io/docs/latest/operate/oss_and_stack/management/replication/ : effects, not calls.
import type { FeedCommand } from "../replication/feed-reader.ts";
import { keysOf, sortOptions } from "../route/commands/keys.ts";
import type { CommandSpec, CommandTable } from "../route/commands/command-table.ts";

/** A command for one target. */
export interface TargetWrite {
  readonly target: number;
  readonly args: readonly Buffer[];
  /** Of these keys; to be copied anew when the target refuses the command. */
  readonly keys: readonly Buffer[];
}

export interface FeedPlan {
  /** In the order of the feed. */
  readonly writes: readonly TargetWrite[];
  /** For every target, in the order of the feed: changes of function libraries. */
  readonly forAll: readonly (readonly Buffer[])[];
  /** Keys to copy from the source, each with its value of one moment that is not before the end of this feed. */
  readonly copies: readonly Buffer[];
  /** Why all that was moved has to be moved again; the rest of the plan is empty then. */
  readonly restart?: string;
}

export interface FeedPlanOptions {
  /** The database that is moved. */
  readonly db: number;
  /** The source's own. */
  readonly table: CommandTable;
  /** Of a key; undefined: it stays where it is. */
  targetOf(key: Buffer): number | undefined;
  /** Keys (latin1) whose value at the target is of that offset, beyond the feed's. */
  readonly copiedAt: ReadonlyMap<string, number>;
  /** To be copied in any case: a target refused what the feed said of them. */
  readonly refused: readonly Buffer[];
  /** Keys of commands up to there are copied: the targets may have executed the command before. */
  readonly copiesUpTo?: number;
}

/** Nothing of the data, or of this moment alone. */
const WITHOUT_EFFECT = new Set([
  ...["PING", "REPLCONF", "SELECT", "MULTI", "EXEC", "PUBLISH", "SPUBLISH", "PFCOUNT"],
  // Redis 6 sends scripts to replicas as it keeps them.
  "SCRIPT",
]);
const LIBRARIES = new Set(["FUNCTION"]);
/** A feed names effects. A call in it comes of an old setting (lua-replicate-commands no) and may do something else elsewhere. */
const CALLS = new Set(["EVAL", "EVALSHA", "FCALL"]);
/** Words that one key each, or one key and its value, follow. */
const DIVIDED: Readonly<Record<string, number>> = { DEL: 1, UNLINK: 1, MSET: 2, MSETNX: 2 };

interface KeyedCommand {
  readonly command: FeedCommand;
  readonly keys: readonly { readonly key: Buffer; readonly id: string; readonly target: number }[];
  /** All keys have a target, and it is one. */
  readonly isWhole: boolean;
}

const NOTHING: FeedPlan = { writes: [], forAll: [], copies: [] };

export function planFeed(commands: readonly FeedCommand[], options: FeedPlanOptions): FeedPlan {
  const keyed: KeyedCommand[] = [];
  const forAll: (readonly Buffer[])[] = [];
  const copies = new Map<string, Buffer>();
  for (const key of options.refused) copies.set(key.toString("latin1"), key);
  for (const command of commands) {
    const meaning = meaningOf(command, options);
    switch (meaning.kind) {
      case "none":
        break;
      case "restart":
        return { ...NOTHING, restart: meaning.why };
      case "for-all":
        forAll.push(command.args);
        break;
      case "copy":
        for (const key of meaning.keys) {
          if (options.targetOf(key) !== undefined) copies.set(key.toString("latin1"), key);
        }
        break;
      case "keyed":
        keyed.push(...meaning.parts);
        if (command.endOffset > (options.copiesUpTo ?? -1)) break;
        for (const { id, key } of meaning.parts.flatMap((part) => part.keys)) {
          if ((options.copiedAt.get(id) ?? -1) < command.endOffset) copies.set(id, key);
        }
    }
  }
  joinCopies(keyed, copies, options.copiedAt);
  const isCopied = (id: string, endOffset: number): boolean =>
    copies.has(id) || (options.copiedAt.get(id) ?? -1) >= endOffset;
  const writes = keyed.flatMap(({ command, keys }): TargetWrite[] => {
    const [first] = keys;
    if (first === undefined || isCopied(first.id, command.endOffset)) return [];
    return [{ target: first.target, args: command.args, keys: keys.map(({ key }) => key) }];
  });
  return { writes, forAll, copies: [...copies.values()] };
}

/** Adds the keys of every command that has a copied key, or several targets, until there is no such command any more. */
function joinCopies(
  keyed: readonly KeyedCommand[],
  copies: Map<string, Buffer>,
  copiedAt: ReadonlyMap<string, number>,
): void {
  let count: number;
  do {
    count = copies.size;
    for (const { command, keys, isWhole } of keyed) {
      const covered = keys.filter(
        ({ id }) => copies.has(id) || (copiedAt.get(id) ?? -1) >= command.endOffset,
      ).length;
      // All: nothing is left of the command. None, and one target has all keys: it goes there.
      if (covered === keys.length || (isWhole && covered === 0)) continue;
      for (const { id, key } of keys) copies.set(id, key);
    }
  } while (copies.size > count);
}

type Meaning =
  | { readonly kind: "none" | "for-all" }
  | { readonly kind: "restart"; readonly why: string }
  | { readonly kind: "copy"; readonly keys: readonly Buffer[] }
  | { readonly kind: "keyed"; readonly parts: readonly KeyedCommand[] };

function meaningOf(command: FeedCommand, options: FeedPlanOptions): Meaning {
  const { name, args, db } = command;
  if (LIBRARIES.has(name)) return { kind: "for-all" };
  if (WITHOUT_EFFECT.has(name)) return { kind: "none" };
  const otherDb = otherDbOf(command);
  const isHere = db === options.db;
  switch (name) {
    case "FLUSHALL":
      return { kind: "restart", why: "FLUSHALL" };
    case "FLUSHDB":
      return isHere ? { kind: "restart", why: "FLUSHDB" } : { kind: "none" };
    case "SWAPDB": {
      const dbs = args.slice(1).map((arg) => Number(arg.toString("latin1")));
      return dbs.includes(options.db) ? { kind: "restart", why: "SWAPDB" } : { kind: "none" };
    }
    case "SORT": {
      // It may have read any keys (BY, GET): what it stored is what counts.
      const stored = sortOptions(args).store.map((index) => args[index] as Buffer);
      return isHere ? { kind: "copy", keys: stored } : { kind: "none" };
    }
    case "MOVE":
    case "COPY":
      // Between two databases: what is here now is what counts.
      if (otherDb !== undefined && otherDb !== db) {
        const here = isHere ? args[1] : args[name === "COPY" ? 2 : 1];
        const isChanged = otherDb === options.db || (isHere && name === "MOVE");
        return here !== undefined && isChanged ? { kind: "copy", keys: [here] } : { kind: "none" };
      }
  }
  if (!isHere) return { kind: "none" };
  return keyedMeaning(command, options);
}

/** The database that MOVE and COPY name besides their own. */
function otherDbOf({ name, args }: FeedCommand): number | undefined {
  if (name === "MOVE") return Number(args[2]?.toString("latin1"));
  if (name !== "COPY") return undefined;
  const at = args.findIndex(
    (arg, index) => index > 2 && arg.toString("latin1").toUpperCase() === "DB",
  );
  return at === -1 ? undefined : Number(args[at + 1]?.toString("latin1"));
}

function keyedMeaning(command: FeedCommand, options: FeedPlanOptions): Meaning {
  const { name, args } = command;
  const spec = CALLS.has(name) ? undefined : specOf(command, options.table);
  const found = spec === undefined ? undefined : keysOf(spec, args);
  if (found?.kind !== "keys" || found.indices.length === 0) {
    return { kind: "restart", why: `a command whose keys are not known: ${name.slice(0, 32)}` };
  }
  const step = DIVIDED[name];
  const [only = 0] = found.indices;
  if (found.indices.length === 1 && step === undefined) {
    // Most commands of a feed: without the lists below it takes a third of the time.
    const key = args[only] as Buffer;
    const target = options.targetOf(key);
    if (target === undefined) return { kind: "none" };
    const keys = [{ key, id: key.toString("latin1"), target }];
    return { kind: "keyed", parts: [{ command, keys, isWhole: true }] };
  }
  const keys = found.indices.map((index) => {
    const key = args[index] as Buffer;
    return { key, id: key.toString("latin1"), target: options.targetOf(key) };
  });
  const moved = keys.flatMap(({ target, ...key }) =>
    target === undefined ? [] : [{ ...key, target }],
  );
  const isWhole =
    moved.length === keys.length && new Set(moved.map((key) => key.target)).size === 1;
  if (moved.length === 0) return { kind: "none" };
  if (step === undefined) return { kind: "keyed", parts: [{ command, keys: moved, isWhole }] };
  // A command of its own for each key: what was copied is left out of it without touching the others.
  const parts = found.indices.flatMap((index): KeyedCommand[] => {
    const key = moved.find(({ key: other }) => other === args[index]);
    if (key === undefined) return [];
    const word = args[0] as Buffer;
    const part =
      step === 1 ? [word, key.key] : [Buffer.from("MSET"), ...args.slice(index, index + step)];
    return [{ command: { ...command, args: part }, keys: [key], isWhole: true }];
  });
  return { kind: "keyed", parts };
}

function specOf({ name, args }: FeedCommand, table: CommandTable): CommandSpec | undefined {
  const spec = table.get(name.toLowerCase());
  if (spec === undefined || spec.subcommands.size === 0) return spec;
  return spec.subcommands.get(args[1]?.toString("latin1").toLowerCase() ?? "");
}
