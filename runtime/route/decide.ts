// decide.ts: what is to be done with one command, before any key is hashed. Pure.
//
//   name -> rule (policy.ts: by name, else by the server's table) -> keys -> forward, or refused by name with the reason
//
// The arity is checked here, with Redis's own words, wherever a command is not simply forwarded whole: a command cut
// in pieces must not be executed in part before one piece turns out to be malformed.
import { encodeCommand } from "../resp/encode.ts";
import type { CommandSpec, CommandTable } from "./command-table.ts";
import { hasWholeTag, isWord, keysOf, mustAskForKeys, sortOptions, streamOptions } from "./keys.ts";
import { isSessionName, ruleOf, type Gather, type Rule } from "./policy.ts";
import { refusal, unknownCommand, unknownSubcommand, wrongArity } from "./wire-errors.ts";

export type Decision =
  | { readonly kind: "reply"; readonly reply: Buffer }
  | { readonly kind: "session" }
  /** All keys must lie in one partition. `keys` are indices into the arguments, at least one. */
  | {
      readonly kind: "forward";
      readonly keys: readonly number[];
      readonly isRead: boolean;
      /** Only the master can answer it, though it only reads. */
      readonly isMasters?: boolean;
      /** The argument that is a cursor, to be marked with the master that gave it. */
      readonly cursorAt?: number;
    }
  /** On a connection of the client's own (router/own-connections/own-ways.ts). */
  | { readonly kind: "own" }
  /** The same, in the partition of its keys, for as long as it waits. */
  | { readonly kind: "blocking"; readonly keys: readonly number[]; readonly isRead: boolean }
  /** Only a server knows which arguments are keys; then as "forward". */
  | { readonly kind: "ask-keys"; readonly isRead: boolean }
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
      /** Of INFO: the router adds its own section. */
      readonly withRouter?: boolean;
    }
  /** INFO of the router alone. */
  | { readonly kind: "router-info" }
  | { readonly kind: "scan" }
  /** Goes to any one partition; `command` is set when it differs from what came. */
  | {
      readonly kind: "any";
      readonly isRead: boolean;
      readonly command?: Buffer;
      readonly isMasters?: boolean;
      /** Names and values, of which the passwords are not shown. */
      readonly hasSecrets?: boolean;
    };

export interface RouteOptions {
  readonly table: CommandTable;
  readonly partitions: number;
  /** The two characters of twine.conf's hash-tag. */
  readonly hashTag?: string | undefined;
}

/** `args` holds at least the name. */
export function decide(args: readonly Buffer[], options: RouteOptions): Decision {
  // The session's commands are the router's own: they are answered before any node has told its table, and whether or
  // not the nodes are as old as the command.
  if (isSessionCommand(args)) return { kind: "session" };
  const name = lower(args[0]);
  const spec = options.table.get(name);
  if (spec === undefined) return reply(unknownCommand(args));
  const sub = subcommandOf(spec, args);
  if (sub === undefined) return reply(unknownSubcommand(name, args[1]));
  if (!fitsArity(sub, args.length)) return reply(wrongArity(sub.name));
  return byRule(ruleOf(sub), sub, args, options);
}

/** The session's commands need no table: whether this is one of them. */
export function isSessionCommand(args: readonly Buffer[]): boolean {
  return isSessionName(lower(args[0]), lower(args[1]));
}

function byRule(
  rule: Rule,
  spec: CommandSpec,
  args: readonly Buffer[],
  options: RouteOptions,
): Decision {
  const isRead = spec.flags.has("readonly");
  switch (rule.kind) {
    case "session":
    case "own":
    case "scan":
      return { kind: rule.kind };
    case "answer":
      return reply(Buffer.from(rule.reply));
    case "refuse":
      return reply(refusal(spec.name.replace("|", " "), rule.reason));
    case "any":
      return { kind: "any", isRead: true };
    case "settings":
      return { kind: "any", isRead: true, isMasters: true, hasSecrets: true };
    case "gather":
      return gathered(rule.gather, rule.isRead, spec, args);
    case "split":
      if ((args.length - 1) % rule.keyStep !== 0) return reply(wrongArity(spec.name));
      return { ...rule, name: spec.name, isRead };
    case "channel":
      return { kind: "forward", keys: [1], isRead: false };
    case "blocking":
      return blocking(byKeys(spec, args, options));
    case "cursor":
      return { kind: "forward", keys: [1], isRead, isMasters: true, cursorAt: 2 };
    case "script":
      return byScript(rule.readOnly, spec, args, options);
    case "keys":
      return byKeys(spec, args, options);
  }
}

function gathered(
  gather: Gather,
  isRead: boolean,
  spec: CommandSpec,
  args: readonly Buffer[],
): Decision {
  if (gather === "info") return info(args);
  // The other databases of a partition's server are not this cluster's to empty.
  const command = encodeCommand(spec.name === "flushall" ? ["FLUSHDB", ...args.slice(1)] : args);
  return { kind: "gather", gather, isRead, command };
}

/** Sections that hold all others, or most. */
const WIDE_SECTIONS: ReadonlySet<string> = new Set(["all", "default", "everything"]);

/** The section "router" is the router's own; the nodes are asked for the others. */
function info(args: readonly Buffer[]): Decision {
  const sections = args.slice(1).filter((section) => lower(section) !== "router");
  if (args.length > 1 && sections.length === 0) return { kind: "router-info" };
  const isNamed = sections.length < args.length - 1;
  const withRouter =
    isNamed || args.length === 1 || sections.some((one) => WIDE_SECTIONS.has(lower(one)));
  const command = encodeCommand([args[0] ?? "INFO", ...sections]);
  return { kind: "gather", gather: "info", isRead: true, command, withRouter };
}

function byScript(
  readOnly: string,
  spec: CommandSpec,
  args: readonly Buffer[],
  { partitions }: RouteOptions,
): Decision {
  const isRead = spec.flags.has("readonly");
  // Masters are given the scripts that SCRIPT LOAD brings, and replicas don't hear of them.
  const isMasters = spec.name.startsWith("evalsha");
  const found = keysOf(spec, args);
  if (found.kind === "malformed") return { kind: "any", isRead: true };
  if (found.indices.length > 0) return { kind: "forward", keys: found.indices, isRead, isMasters };
  // A script that names no key may run anywhere as long as it writes nothing: a key it wrote without naming it
  // would land in a partition where nobody looks for it.
  if (partitions === 1) return { kind: "any", isRead, isMasters };
  const command = encodeCommand([readOnly, ...args.slice(1)]);
  return { kind: "any", isRead: true, isMasters, command };
}

function byKeys(spec: CommandSpec, args: readonly Buffer[], options: RouteOptions): Decision {
  const isRead = spec.flags.has("readonly");
  const refused = refusalOf(spec, args, options);
  if (refused !== undefined) return reply(refusal(spec.name.replace("|", " "), refused));
  if (mustAskForKeys(spec)) return { kind: "ask-keys", isRead };
  const found = keysOf(spec, args, options.hashTag);
  // Redis will refuse it, and knows the words; being malformed, it is executed nowhere.
  if (found.kind === "malformed" || found.indices.length === 0)
    return { kind: "any", isRead: true };
  const forward: Decision = { kind: "forward", keys: found.indices, isRead };
  return spec.name.startsWith("xread") && streamReadBlocks(args) ? blocking(forward) : forward;
}

/** What Redis will refuse waits for nothing. */
function blocking(decision: Decision): Decision {
  if (decision.kind !== "forward") return decision;
  return { kind: "blocking", keys: decision.keys, isRead: decision.isRead };
}

/** What of a command with keys depends on its options. */
function refusalOf(
  spec: CommandSpec,
  args: readonly Buffer[],
  { partitions, hashTag }: RouteOptions,
): string | undefined {
  switch (spec.name) {
    case "copy":
      if (!args.slice(3).some((arg) => isWord(arg, "db"))) return undefined;
      return "a partition has one database, and it is 0 here";
    case "sort":
    case "sort_ro": {
      const strays = sortOptions(args).patterns.filter((at) => !hasWholeTag(args[at], hashTag));
      if (partitions === 1 || strays.length === 0) return undefined;
      return (
        "the keys that BY and GET make of the values lie in any partition; with 'hash-tag {}' in " +
        "twine.conf, a pattern like {tag}* makes keys of one"
      );
    }
    default:
      return undefined;
  }
}

/** BLOCK counts only before STREAMS: after it, it is the name of a stream. */
function streamReadBlocks(args: readonly Buffer[]): boolean {
  const options = streamOptions(args);
  if (options !== undefined) return options.blocks;
  const streams = args.findIndex((arg) => isWord(arg, "streams"));
  return args.slice(0, streams === -1 ? args.length : streams).some((arg) => isWord(arg, "block"));
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
