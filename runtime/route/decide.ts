// decide.ts: what is to be done with one command, before any key is hashed. Pure.
//
//   name -> rule (policy.ts), else by the server's table -> keys -> forward, or refused by name with the reason
//
// The arity is checked here, with Redis's own words, wherever a command is not simply forwarded whole: a command cut
// in pieces must not be executed in part before one piece turns out to be malformed.
import { encodeCommand } from "../resp/encode.ts";
import type { CommandSpec, CommandTable } from "./command-table.ts";
import { isWord, keysOf, sortOptions } from "./keys.ts";
import { NO_KEYS_REASON, REFUSED_FLAGS, RULES, type Gather, type Rule } from "./policy.ts";
import { refusal, unknownCommand, unknownSubcommand, wrongArity } from "./wire-errors.ts";

export type Decision =
  | { readonly kind: "reply"; readonly reply: Buffer }
  | { readonly kind: "session" }
  /** All keys must lie in one partition. `keys` are indices into the arguments, at least one. */
  | { readonly kind: "forward"; readonly keys: readonly number[]; readonly isRead: boolean }
  | {
      readonly kind: "split";
      readonly name: string;
      readonly merge: "mget" | "mset" | "sum";
      readonly keyStep: 1 | 2;
      readonly isRead: boolean;
    }
  /** `command` goes to every partition. */
  | {
      readonly kind: "gather";
      readonly gather: Gather;
      readonly isRead: boolean;
      readonly command: Buffer;
    }
  | { readonly kind: "scan" }
  /** Goes to any one partition; `command` is set when it differs from what came. */
  | { readonly kind: "any"; readonly isRead: boolean; readonly command?: Buffer };

export interface RouteOptions {
  readonly table: CommandTable;
  readonly partitions: number;
}

/** `args` holds at least the name. */
export function decide(args: readonly Buffer[], { table, partitions }: RouteOptions): Decision {
  const name = lower(args[0]);
  const spec = table.get(name);
  if (spec === undefined) {
    // The session's commands are the router's own: they are answered before any node has told its table.
    const isSession = RULES.get(name)?.kind === "session";
    return isSession ? { kind: "session" } : reply(unknownCommand(args));
  }
  const sub = subcommandOf(spec, args);
  if (sub === undefined) return reply(unknownSubcommand(name, args[1]));
  if (!fitsArity(sub, args.length)) return reply(wrongArity(sub.name));
  const rule = RULES.get(sub.name) ?? RULES.get(name);
  // MEMORY USAGE, OBJECT FREQ and the like have keys although their command has a rule of its own for the rest.
  return rule === undefined ? byKeys(sub, args, partitions) : byRule(rule, sub, args, partitions);
}

/** The session's commands need no table: whether this is one of them. */
export function isSessionCommand(args: readonly Buffer[]): boolean {
  return RULES.get(lower(args[0]))?.kind === "session";
}

function byRule(
  rule: Rule,
  spec: CommandSpec,
  args: readonly Buffer[],
  partitions: number,
): Decision {
  const isRead = spec.flags.has("readonly");
  switch (rule.kind) {
    case "session":
    case "scan":
      return { kind: rule.kind };
    case "refuse":
      return reply(refusal(spec.name.replace("|", " "), rule.reason));
    case "any":
      return { kind: "any", isRead: true };
    case "gather": {
      // The other databases of a partition's server are not this cluster's to empty.
      const isFlush = spec.name === "flushall";
      const command = encodeCommand(isFlush ? ["FLUSHDB", ...args.slice(1)] : args);
      return { kind: "gather", gather: rule.gather, isRead: rule.isRead, command };
    }
    case "split":
      if ((args.length - 1) % rule.keyStep !== 0) return reply(wrongArity(spec.name));
      return { ...rule, name: spec.name, isRead };
    case "script": {
      const found = keysOf(spec, args);
      if (found.kind === "malformed") return { kind: "any", isRead: true };
      if (found.indices.length > 0) return { kind: "forward", keys: found.indices, isRead };
      // A script that names no key may run anywhere as long as it writes nothing: a key it wrote without naming it
      // would land in a partition where nobody looks for it.
      if (partitions === 1) return { kind: "any", isRead };
      return {
        kind: "any",
        isRead: true,
        command: encodeCommand([rule.readOnly, ...args.slice(1)]),
      };
    }
  }
}

function byKeys(spec: CommandSpec, args: readonly Buffer[], partitions: number): Decision {
  const reason = refusalOf(spec, args, partitions);
  if (reason !== undefined) return reply(refusal(spec.name.replace("|", " "), reason));
  const found = keysOf(spec, args);
  // Redis will refuse it, and knows the words; being malformed, it is executed nowhere.
  if (found.kind === "malformed") return { kind: "any", isRead: true };
  if (found.indices.length > 0) {
    return { kind: "forward", keys: found.indices, isRead: spec.flags.has("readonly") };
  }
  if (spec.keys.length > 0) return { kind: "any", isRead: true };
  return reply(refusal(spec.name.replace("|", " "), NO_KEYS_REASON));
}

function refusalOf(
  spec: CommandSpec,
  args: readonly Buffer[],
  partitions: number,
): string | undefined {
  for (const [flag, reason] of REFUSED_FLAGS) {
    // Reading streams blocks only with BLOCK.
    const isStreamRead = spec.name === "xread" || spec.name === "xreadgroup";
    const mayPass = flag === "blocking" && isStreamRead && !streamReadBlocks(args);
    if (spec.flags.has(flag) && !mayPass) return reason;
  }
  if (spec.name === "copy" && args.slice(3).some((arg) => isWord(arg, "db"))) {
    return "a partition has one database, and it is 0 here";
  }
  const isSort = spec.name === "sort" || spec.name === "sort_ro";
  if (isSort && partitions > 1 && sortOptions(args).hasPattern) {
    return "the keys that BY and GET make of the values lie in any partition";
  }
  return undefined;
}

/** BLOCK counts only before STREAMS: after it, it is the name of a stream. */
function streamReadBlocks(args: readonly Buffer[]): boolean {
  const streams = args.findIndex((arg) => isWord(arg, "streams"));
  const options = streams === -1 ? args : args.slice(0, streams);
  return options.some((arg) => isWord(arg, "block"));
}

/** The subcommand's spec where the command has subcommands; undefined when there is none of that name. COMMAND, which
    means something without one, stands for itself. */
function subcommandOf(spec: CommandSpec, args: readonly Buffer[]): CommandSpec | undefined {
  if (spec.subcommands.size === 0 || args.length === 1) return spec;
  return spec.subcommands.get(lower(args[1]));
}

function fitsArity(spec: CommandSpec, count: number): boolean {
  return spec.arity < 0 ? count >= -spec.arity : count === spec.arity;
}

function reply(bytes: Buffer): Decision {
  return { kind: "reply", reply: bytes };
}

function lower(arg: Buffer | undefined): string {
  return arg?.toString("latin1", 0, 128).toLowerCase() ?? "";
}
