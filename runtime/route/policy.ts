// policy.ts: what a router does with commands that don't simply go where their keys are. Pure, a table.
// A command that is neither here nor has keys is refused, so a newer server's commands never do half of something.

/** How the replies of all partitions become one. */
export type Gather =
  /** Integers, added. */
  | "sum"
  /** Arrays, one after the other. */
  | "concat"
  /** One reply for all: the first, when none is an error. */
  | "same"
  /** Arrays of 0 and 1: 1 where every partition says 1. */
  | "and"
  | "info"
  | "randomkey";

export type Rule =
  /** route/session.ts answers. */
  | { readonly kind: "session" }
  /** Every key goes to its own partition; the replies become one. */
  | { readonly kind: "split"; readonly merge: "mget" | "mset" | "sum"; readonly keyStep: 1 | 2 }
  | { readonly kind: "gather"; readonly gather: Gather; readonly isRead: boolean }
  | { readonly kind: "scan" }
  /** Every partition would say the same. */
  | { readonly kind: "any" }
  /** Sent by its keys; without any key, to any partition by its read-only twin. */
  | { readonly kind: "script"; readonly readOnly: string }
  | { readonly kind: "refuse"; readonly reason: string };

const session: Rule = { kind: "session" };
const any: Rule = { kind: "any" };
const scan: Rule = { kind: "scan" };
const gather = (how: Gather, isRead: boolean): Rule => ({ kind: "gather", gather: how, isRead });
const refuse = (reason: string): Rule => ({ kind: "refuse", reason });

const NO_TRANSACTIONS = refuse("transactions need a connection of their own to one partition");
const NO_CHANNELS = refuse("this router carries no publish and subscribe");
const NO_NODE = refuse("it speaks to one redis-server; give it to a node of twine.conf");
const NO_SETTINGS = refuse("settings are made by 'redis' lines of twine.conf");
const NO_OTHER_DB = refuse("a partition has one database, and it is 0 here");

/** By lower-case name; a subcommand as "client|id". A subcommand without a rule follows its command's. */
export const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ...["hello", "auth", "ping", "echo", "select", "quit", "reset", "client"].map(
    (name): [string, Rule] => [name, session],
  ),
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
  ["scan", scan],
  ["script|load", gather("same", false)],
  ["script|flush", gather("same", false)],
  ["script|exists", gather("and", true)],
  ["script|help", any],
  ["script", refuse("a script is stopped or debugged at the node that runs it")],
  ["function|load", gather("same", false)],
  ["function|delete", gather("same", false)],
  ["function|flush", gather("same", false)],
  ["function|restore", gather("same", false)],
  ["function|list", any],
  ["function|dump", any],
  ["function|help", any],
  ["function", NO_NODE],
  ["eval", { kind: "script", readOnly: "EVAL_RO" }],
  ["evalsha", { kind: "script", readOnly: "EVALSHA_RO" }],
  ["fcall", { kind: "script", readOnly: "FCALL_RO" }],
  ["eval_ro", { kind: "script", readOnly: "EVAL_RO" }],
  ["evalsha_ro", { kind: "script", readOnly: "EVALSHA_RO" }],
  ["fcall_ro", { kind: "script", readOnly: "FCALL_RO" }],
  ["time", any],
  ["lolwut", any],
  ["command", any],
  ["config|get", any],
  ["config|help", any],
  ["config", NO_SETTINGS],
  ["object|help", any],
  ["xinfo|help", any],
  ["xgroup|help", any],
  ["memory|help", any],
  ["multi", NO_TRANSACTIONS],
  ["exec", NO_TRANSACTIONS],
  ["discard", NO_TRANSACTIONS],
  ["watch", NO_TRANSACTIONS],
  ["unwatch", NO_TRANSACTIONS],
  ["publish", NO_CHANNELS],
  ["pubsub", NO_CHANNELS],
  ["wait", refuse("it would wait for the writes of other clients too; see 'ack-replicas'")],
  ["waitaof", refuse("it would wait for the writes of other clients too; see 'ack-replicas'")],
  ["monitor", refuse("it would show one partition only; give it to a node of twine.conf")],
  ["move", NO_OTHER_DB],
  ["swapdb", NO_OTHER_DB],
  ["migrate", NO_NODE],
  ["cluster", refuse("a Twine cluster is one Redis to its clients, not a Redis Cluster")],
  ["readonly", refuse("a Twine cluster is one Redis to its clients, not a Redis Cluster")],
  ["readwrite", refuse("a Twine cluster is one Redis to its clients, not a Redis Cluster")],
  ["asking", refuse("a Twine cluster is one Redis to its clients, not a Redis Cluster")],
  ["restore-asking", refuse("a Twine cluster is one Redis to its clients, not a Redis Cluster")],
]);

/** By a flag of the server's own table, for commands without a rule. */
export const REFUSED_FLAGS: readonly (readonly [flag: string, reason: string])[] = [
  ["blocking", "a blocking command would hold up the other clients of its partition"],
  ["pubsub", "this router carries no publish and subscribe"],
  ["admin", "it speaks to one redis-server; give it to a node of twine.conf"],
];

export const NO_KEYS_REASON = "it has no key that says where it should go";
