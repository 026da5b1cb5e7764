// policy.ts: how a router handles each command of the server's table: one rule for every name. Pure, a table.
// Some rules are listed here by name; the others follow from the server's flags and key positions (ruleOf). A command
// without a rule and without keys is refused, so a newer server's command is never executed in part.
// docs/commands.md prints every rule, by describe.ts.
import type { CommandSpec } from "./command-table.ts";

/** How the replies of all partitions are merged. */
export type Gather =
  /** Integers: the sum. */
  | "sum"
  /** Integers: the least. */
  | "least"
  /** Arrays, concatenated. */
  | "concat"
  /** The first reply, if none is an error. */
  | "same"
  /** Arrays of 0 and 1: 1 if it is 1 in every partition. */
  | "and"
  | "info"
  | "randomkey"
  /** Entries of SLOWLOG GET, newest first. */
  | "slowlog"
  /** Names and numbers alternate; the numbers are added. */
  | "pairs";

export type Rule =
  /** Executed by route/session/session.ts. */
  | { readonly kind: "session" }
  /** Sent whole to the partition of its keys. */
  | { readonly kind: "keys" }
  /** Sent by its key. The cursor after the key gets the tag of its master (scan-cursor.ts). */
  | { readonly kind: "cursor" }
  /** Every key goes to its own partition; the replies are merged. */
  | { readonly kind: "split"; readonly merge: "mget" | "mset" | "sum"; readonly keyStep: 1 | 2 }
  | { readonly kind: "gather"; readonly gather: Gather; readonly isRead: boolean }
  | { readonly kind: "scan" }
  /** Every partition would return the same reply. */
  | { readonly kind: "any" }
  /** As "any", but passwords in the reply are hidden. */
  | { readonly kind: "settings" }
  /** Sent by its keys. Without keys, its read-only variant is sent to any partition. */
  | { readonly kind: "script"; readonly readOnly: string }
  /** On a dedicated connection: transactions, subscriptions, WAIT (engine/dedicated/dedicated-connections.ts). */
  | { readonly kind: "own" }
  /** On a dedicated connection in the partition of its keys, for as long as it blocks. */
  | { readonly kind: "blocking" }
  /** Sent whole to the partition of its first argument, a channel. */
  | { readonly kind: "channel" }
  /** The reply is always the same. */
  | { readonly kind: "answer"; readonly reply: string }
  | { readonly kind: "refuse"; readonly reason: string };

const session: Rule = { kind: "session" };
const any: Rule = { kind: "any" };
const cursor: Rule = { kind: "cursor" };
const gather = (how: Gather, isRead: boolean): Rule => ({ kind: "gather", gather: how, isRead });
const script = (readOnly: string): Rule => ({ kind: "script", readOnly });
const refuse = (reason: string): Rule => ({ kind: "refuse", reason });

const own: Rule = { kind: "own" };
const channel: Rule = { kind: "channel" };
const blocking: Rule = { kind: "blocking" };
const NO_CHANNELS = refuse("this router does not know this command of publish and subscribe");
const NO_NODE = refuse("it speaks to one redis-server; give it to a node of twine.conf");
const NO_SETTINGS = refuse("settings are made by 'redis' lines of twine.conf");
const NO_OTHER_DB = refuse("a partition has one database, and it is 0 here");
const NO_CLUSTER = refuse("a Twine cluster is one Redis to its clients, not a Redis Cluster");
const NO_ROLES = refuse("roles are the monitors' to give; 'twine-failover NODE' makes NODE master");
const NO_COPY = refuse("a replica follows a data node; a router holds no data");
const NO_KILL = refuse("a script is stopped or debugged at the node that runs it");

/** Even if the nodes do not know them: the router needs them for its own state. */
const OWN_NAMES = [
  ...["multi", "exec", "discard", "watch", "unwatch", "wait", "waitaof"],
  ...["subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe"],
];

/** By lower-case name; a subcommand is "client|id". A subcommand without a rule has the rule of its command. */
const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ...["hello", "auth", "ping", "echo", "select", "quit", "reset", "client"].map(
    (name): [string, Rule] => [name, session],
  ),
  ["acl|whoami", session],
  ["mget", { kind: "split", merge: "mget", keyStep: 1 }],
  ["mset", { kind: "split", merge: "mset", keyStep: 2 }],
  ...["del", "unlink", "exists", "touch"].map((name): [string, Rule] => [
    name,
    { kind: "split", merge: "sum", keyStep: 1 },
  ]),
  ["dbsize", gather("sum", true)],
  ["keys", gather("concat", true)],
  ["flushall", gather("same", false)],
  ["flushdb", gather("same", false)],
  ["randomkey", gather("randomkey", true)],
  ["info", gather("info", true)],
  ["scan", { kind: "scan" }],
  ["hscan", cursor],
  ["sscan", cursor],
  ["zscan", cursor],
  ["lastsave", gather("least", true)],
  ["bgsave", gather("same", false)],
  ["bgrewriteaof", gather("same", false)],
  ["save", refuse("it would stop every partition for as long as it takes; see BGSAVE")],
  ["slowlog|get", gather("slowlog", true)],
  ["slowlog|len", gather("sum", true)],
  ["slowlog|reset", gather("same", false)],
  ["script|load", gather("same", false)],
  ["script|flush", gather("same", false)],
  ["script|exists", gather("and", true)],
  ["script", NO_KILL],
  ["function|load", gather("same", false)],
  ["function|delete", gather("same", false)],
  ["function|flush", gather("same", false)],
  ["function|restore", gather("same", false)],
  ["function|list", any],
  ["function|dump", any],
  ["function|kill", NO_KILL],
  ["function", NO_NODE],
  ["eval", script("EVAL_RO")],
  ["evalsha", script("EVALSHA_RO")],
  ["fcall", script("FCALL_RO")],
  ["eval_ro", script("EVAL_RO")],
  ["evalsha_ro", script("EVALSHA_RO")],
  ["fcall_ro", script("FCALL_RO")],
  ["time", any],
  ["lolwut", any],
  ["command", any],
  ["role", { kind: "answer", reply: "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n" }],
  ["config|get", { kind: "settings" }],
  ["config|resetstat", refuse("it would falsify what is measured of the nodes")],
  ["config", NO_SETTINGS],
  ["acl|cat", any],
  ["acl|genpass", any],
  ["acl", refuse("users are made by the cluster's password and the users file, not by commands")],
  ["memory|purge", gather("same", false)],
  ["memory", NO_NODE],
  ["module|list", any],
  ["module", refuse("modules are loaded by 'redis loadmodule' lines of twine.conf")],
  ...OWN_NAMES.map((name): [string, Rule] => [name, own]),
  ["publish", channel],
  ["spublish", channel],
  ["pubsub|channels", gather("concat", true)],
  ["pubsub|shardchannels", gather("concat", true)],
  ["pubsub|numsub", gather("pairs", true)],
  ["pubsub|shardnumsub", gather("pairs", true)],
  // A pattern is subscribed in every partition.
  ["pubsub|numpat", gather("least", true)],
  ["monitor", refuse("it would show one partition only; give it to a node of twine.conf")],
  ["debug", refuse("it can stop or crash a redis-server; give it to a node of twine.conf")],
  ["shutdown", refuse("'twine-stop' stops nodes, a master after it was handed over")],
  ["replicaof", NO_ROLES],
  ["slaveof", NO_ROLES],
  ["failover", NO_ROLES],
  ["sync", NO_COPY],
  ["psync", NO_COPY],
  ["replconf", NO_COPY],
  ["move", NO_OTHER_DB],
  ["swapdb", NO_OTHER_DB],
  ["migrate", refuse("keys lie where the hash says; one that was moved would not be found again")],
  ["cluster", NO_CLUSTER],
  ["readonly", NO_CLUSTER],
  ["readwrite", NO_CLUSTER],
  ["asking", NO_CLUSTER],
  ["restore-asking", NO_CLUSTER],
]);

/** By a flag of the server's table, for commands without a rule. */
const REFUSED_FLAGS: readonly (readonly [flag: string, rule: Rule])[] = [
  ["blocking", blocking],
  ["pubsub", NO_CHANNELS],
  ["admin", NO_NODE],
];

const NO_KEYS = refuse("it has no key that says where it should go");
const KEYS: Rule = { kind: "keys" };
/** They have the flag "blocking", but block only with the option BLOCK: decide.ts checks it. */
const READS_STREAMS: ReadonlySet<string> = new Set(["xread", "xreadgroup"]);

/** The rule of a command or subcommand of the server's table. Every one has a rule. */
export function ruleOf(spec: CommandSpec): Rule {
  const [command = ""] = spec.name.split("|");
  const named = RULES.get(spec.name);
  if (named !== undefined) return named;
  const common = RULES.get(command);
  if (spec.name.endsWith("|help") && common?.kind !== "session") return any;
  // MEMORY USAGE, OBJECT FREQ and others have keys although their command has another rule.
  if (common !== undefined && spec.keys.length === 0) return common;
  if (!READS_STREAMS.has(spec.name)) {
    const refused = REFUSED_FLAGS.find(([flag]) => spec.flags.has(flag));
    if (refused !== undefined) return refused[1];
  }
  // A module's command may have keys that only the server finds.
  return spec.keys.length > 0 || spec.flags.has("movablekeys") ? KEYS : NO_KEYS;
}

/** Whether the router executes the command itself, whether or not the nodes know it. A subcommand is "acl|whoami". */
export function isSessionName(command: string, sub: string): boolean {
  const rule = RULES.get(`${command}|${sub}`) ?? RULES.get(command);
  return rule?.kind === "session";
}

/** Whether that command, in lower case, needs a dedicated connection. */
export function isOwnName(command: string): boolean {
  return RULES.get(command)?.kind === "own";
}
