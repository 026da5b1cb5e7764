// decide.ts: decides how to route a command, before any key is hashed. Pure.
//
//   name -> rule (policy.ts: by name, else by the server's table) -> keys -> forward, or refuse with the reason
//
// The arity is checked here, with Redis's own error, for all commands that are not forwarded whole. Otherwise parts of a
// malformed command could be executed.
import { encodeCommand } from "../resp/encode.ts";
import type { CommandSpec, CommandTable } from "./commands/command-table.ts";
import {
  hasWholeTag,
  isWord,
  keysOf,
  mustAskForKeys,
  sortOptions,
  streamOptions,
} from "./commands/keys.ts";
import { isOwnName, isSessionName, ruleOf, type Gather, type Rule } from "./commands/policy.ts";
import { mayBlock } from "./session/blocking-timeout.ts";
import { refusal, unknownCommand, unknownSubcommand, wrongArity } from "./replies/wire-errors.ts";

export type Decision =
  | { readonly kind: "reply"; readonly reply: Buffer }
  | { readonly kind: "session" }
  /** All keys must be in one partition. `keys` are indices into the arguments, at least one. */
  | {
      readonly kind: "forward";
      readonly keys: readonly number[];
      readonly isRead: boolean;
      /** Only the master can execute it, although it only reads. */
      readonly isMasters?: boolean;
      /** The index of the cursor argument, which gets the tag of its master. */
      readonly cursorAt?: number;
    }
  /** On a dedicated connection (engine/dedicated/dedicated-connections.ts). */
  | { readonly kind: "own" }
  /** On a dedicated connection in the partition of its keys, for as long as it blocks. */
  | { readonly kind: "blocking"; readonly keys: readonly number[]; readonly isRead: boolean }
  /** Only a server can find its keys (COMMAND GETKEYS). Then it is handled as "forward". */
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
      /** For INFO: the router adds its own section. */
      readonly withRouter?: boolean;
    }
  /** INFO of the router alone. */
  | { readonly kind: "router-info" }
  | { readonly kind: "scan" }
  /** Goes to any one partition. `command` is set if it differs from the client's command. */
  | {
      readonly kind: "any";
      readonly isRead: boolean;
      readonly command?: Buffer;
      readonly isMasters?: boolean;
      /** The reply is a list of names and values; passwords in it must be hidden. */
      readonly hasSecrets?: boolean;
    };

export interface RouteOptions {
  readonly table: CommandTable;
  readonly partitions: number;
  /** The two characters of twine.conf's hash-tag. */
  readonly hashTag?: string | undefined;
}

/** `args` has at least the name. */
export function decide(args: readonly Buffer[], options: RouteOptions): Decision {
  // The router itself executes session commands: also before any node has reported its table, and for nodes too old to
  // know the command.
  if (isSessionCommand(args)) return { kind: "session" };
  const name = lower(args[0]);
  const spec = options.table.get(name);
  if (spec === undefined) return reply(unknownCommand(args));
  const sub = subcommandOf(spec, args);
  if (sub === undefined) return reply(unknownSubcommand(name, args[1]));
  if (!fitsArity(sub, args.length)) return reply(wrongArity(sub.name));
  return byRule(ruleOf(sub), sub, args, options);
}

/** Whether the router itself executes this command. Needs no table. */
export function isSessionCommand(args: readonly Buffer[]): boolean {
  return isSessionName(lower(args[0]), lower(args[1]));
}

/** Whether this command needs a session per client: session commands, transactions, subscriptions, WAIT, and blocking
    commands. `table` is undefined before a node has reported its commands. */
export function needsSession(args: readonly Buffer[], table: CommandTable | undefined): boolean {
  if (isSessionCommand(args) || isOwnName(lower(args[0])) || mayBlock(args)) return true;
  const isStream = lower(args[0]).startsWith("xread");
  return !isStream && table?.get(lower(args[0]))?.flags.has("blocking") === true;
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
  // FLUSHALL must not empty other databases of the server: they do not belong to this cluster.
  const command = encodeCommand(spec.name === "flushall" ? ["FLUSHDB", ...args.slice(1)] : args);
  return { kind: "gather", gather, isRead, command };
}

/** Sections that include all others, or most. */
const WIDE_SECTIONS: ReadonlySet<string> = new Set(["all", "default", "everything"]);

/** The router answers the section "router" itself; the nodes answer the others. */
function info(args: readonly Buffer[]): Decision {
  const sections = args.slice(1).filter((section) => lower(section) !== "router");
  if (args.length > 1 && sections.length === 0) return { kind: "router-info" };
  const isNamed = sections.length < args.length - 1;
  const withRouter =
    isNamed || args.length === 1 || sections.some((one) => WIDE_SECTIONS.has(lower(one)));
  const command = encodeCommand([args[0] ?? "INFO", ...sections]);
  return { kind: "gather", gather: "info", isRead: true, command, withRouter };
}

const NO_READ_ONLY_TWIN =
  "without a key it could write anywhere, and only Redis 7.0 and later can run it read-only; name a key of the partition " +
  "that it shall run in";

function byScript(
  readOnly: string,
  spec: CommandSpec,
  args: readonly Buffer[],
  { partitions, table }: RouteOptions,
): Decision {
  const isRead = spec.flags.has("readonly");
  // Scripts are loaded on masters by SCRIPT LOAD, which is not replicated.
  const isMasters = spec.name.startsWith("evalsha");
  const found = keysOf(spec, args);
  if (found.kind === "malformed") return { kind: "any", isRead: true };
  if (found.indices.length > 0) return { kind: "forward", keys: found.indices, isRead, isMasters };
  // A script without keys may run anywhere if it does not write: a key that it wrote without naming it would be in a
  // partition where clients do not look for it.
  if (partitions === 1) return { kind: "any", isRead, isMasters };
  if (!table.has(readOnly.toLowerCase())) return reply(refusal(spec.name, NO_READ_ONLY_TWIN));
  const command = encodeCommand([readOnly, ...args.slice(1)]);
  return { kind: "any", isRead: true, isMasters, command };
}

function byKeys(spec: CommandSpec, args: readonly Buffer[], options: RouteOptions): Decision {
  const isRead = spec.flags.has("readonly");
  const refused = refusalOf(spec, args, options);
  if (refused !== undefined) return reply(refusal(spec.name.replace("|", " "), refused));
  if (mustAskForKeys(spec)) return { kind: "ask-keys", isRead };
  const found = keysOf(spec, args, options.hashTag);
  // Redis will return the right error. A malformed command is not executed anywhere.
  if (found.kind === "malformed" || found.indices.length === 0)
    return { kind: "any", isRead: true };
  const forward: Decision = { kind: "forward", keys: found.indices, isRead };
  return spec.name.startsWith("xread") && streamReadBlocks(args) ? blocking(forward) : forward;
}

/** A command that Redis will refuse does not block. */
function blocking(decision: Decision): Decision {
  if (decision.kind !== "forward") return decision;
  return { kind: "blocking", keys: decision.keys, isRead: decision.isRead };
}

/** Refusals that depend on the options of a command with keys. */
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
      const loose = sortOptions(args).patterns.filter((at) => !hasWholeTag(args[at], hashTag));
      if (partitions === 1 || loose.length === 0) return undefined;
      return (
        "the keys that BY and GET make of the values lie in any partition; with 'hash-tag {}' in " +
        "twine.conf, a pattern like {tag}* makes keys of one"
      );
    }
    default:
      return undefined;
  }
}

/** BLOCK counts only before STREAMS; after it, it is a stream's name. */
function streamReadBlocks(args: readonly Buffer[]): boolean {
  const options = streamOptions(args);
  if (options !== undefined) return options.blocks;
  const streams = args.findIndex((arg) => isWord(arg, "streams"));
  return args.slice(0, streams === -1 ? args.length : streams).some((arg) => isWord(arg, "block"));
}

/** The subcommand's spec if the command has subcommands; undefined if the subcommand is unknown. A command without
    arguments, such as COMMAND, has its own spec. */
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
