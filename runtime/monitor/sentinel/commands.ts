// commands.ts: the commands that the Sentinel port accepts, and the refusals of all others. Pure.
import { errorReply } from "../../resp/encode.ts";
import type { RespValue } from "../../resp/value.ts";
import { unknownCommand, unknownSubcommand, wrongArity } from "../../route/replies/wire-errors.ts";
import { bulkText } from "./state-maps.ts";

interface CommandShape {
  /** The number of words in a call, with the command's own; -n: at least n. In the format of COMMAND. */
  readonly arity: number;
  readonly flags: readonly string[];
}

const ALWAYS = ["loading", "stale"];
const HANDSHAKE = ["noscript", ...ALWAYS, "fast", "no_auth", "allow_busy"];
const PUBSUB = ["pubsub", "noscript", ...ALWAYS];

export const COMMANDS: Readonly<Record<string, CommandShape>> = {
  auth: { arity: -2, flags: HANDSHAKE },
  client: { arity: -2, flags: [] },
  command: { arity: -1, flags: ALWAYS },
  hello: { arity: -1, flags: HANDSHAKE },
  info: { arity: -1, flags: ALWAYS },
  ping: { arity: -1, flags: ["fast"] },
  psubscribe: { arity: -2, flags: PUBSUB },
  punsubscribe: { arity: -1, flags: PUBSUB },
  quit: { arity: -1, flags: HANDSHAKE },
  reset: { arity: 1, flags: HANDSHAKE },
  role: { arity: 1, flags: ["noscript", ...ALWAYS, "fast"] },
  sentinel: { arity: -2, flags: ["admin"] },
  subscribe: { arity: -2, flags: PUBSUB },
  unsubscribe: { arity: -1, flags: PUBSUB },
};

/** The subcommands of SENTINEL, with their number of words. The router's session answers CLIENT_COMMANDS. */
export const SENTINEL_ARITIES: Readonly<Record<string, number>> = {
  ckquorum: 3,
  "get-master-addr-by-name": 3,
  help: 2,
  "is-master-down-by-addr": 6,
  master: 3,
  masters: 2,
  myid: 2,
  "pending-scripts": 2,
  replicas: 3,
  sentinels: 3,
  slaves: 3, // the older name of `replicas`
};

const CONF_REASON = "what is watched stands in twine.conf";
const SENTINEL_REFUSED: Readonly<Record<string, string>> = {
  config: CONF_REASON,
  debug: CONF_REASON,
  failover: "ask for it with 'twine-failover NODE'",
  flushconfig: "nothing is kept in a file of its own",
  "info-cache": "ask the nodes themselves for INFO",
  monitor: CONF_REASON,
  remove: CONF_REASON,
  reset: "the monitors find out by themselves what is gone",
  set: CONF_REASON,
  "simulate-failure": "stop a process instead",
};

const CLIENT_COMMANDS: ReadonlySet<string> = new Set(
  "id info getname setname setinfo no-evict list".split(" "),
);

const REFUSED: Readonly<Record<string, string>> = {
  acl: "the users are made from the cluster's password",
  publish: "only monitors publish here",
  shutdown: "stop a monitor with twine-stop or SIGTERM",
};

/** The commands that a subscribed client may send in RESP2, as in Redis. */
const WHILE_SUBSCRIBED: ReadonlySet<string> = new Set(
  "subscribe psubscribe unsubscribe punsubscribe ping quit reset".split(" "),
);

/** The refusal of a command; undefined when the command is accepted. */
export function refusalOf(args: readonly Buffer[], isSubscribed: boolean): Buffer | undefined {
  const name = wordOf(args[0]);
  const shape = COMMANDS[name];
  if (shape === undefined) return notHere(name, args);
  if (!fits(args.length, shape.arity)) return wrongArity(name);
  if (isSubscribed && !WHILE_SUBSCRIBED.has(name)) return refusedWhileSubscribed(name, args[1]);
  if (name === "sentinel") return sentinelRefusal(args);
  if (name !== "client" || CLIENT_COMMANDS.has(wordOf(args[1]))) return undefined;
  return refused(`client ${wordOf(args[1])}`, "this port only reports where the masters are");
}

export function wordOf(arg: Buffer | undefined): string {
  return arg?.toString("latin1", 0, 64).toLowerCase() ?? "";
}

function fits(words: number, arity: number): boolean {
  return arity < 0 ? words >= -arity : words === arity;
}

function sentinelRefusal(args: readonly Buffer[]): Buffer | undefined {
  const sub = wordOf(args[1]);
  const words = SENTINEL_ARITIES[sub];
  if (words !== undefined) {
    return args.length === words ? undefined : wrongArity(`sentinel|${sub}`);
  }
  const reason = SENTINEL_REFUSED[sub];
  return reason === undefined
    ? unknownSubcommand("sentinel", args[1])
    : refused(`sentinel ${sub}`, reason);
}

/** Clients look for Redis's words `unknown command`; the rest is for people. */
function notHere(name: string, args: readonly Buffer[]): Buffer {
  const reason = REFUSED[name];
  if (reason !== undefined) return refused(name, reason);
  const said = unknownCommand(args).toString().slice(1).trimEnd();
  return errorReply(
    `${said}: this port speaks Sentinel's protocol; ask it for a master such as 'twine-p0', ` +
      "or for the router 'twine', and send commands there",
  );
}

function refused(what: string, reason: string): Buffer {
  return errorReply(`ERR twine: '${what}' is not supported: ${reason}`);
}

function refusedWhileSubscribed(name: string, sub: Buffer | undefined): Buffer {
  const hasSub = name === "sentinel" || name === "client";
  return errorReply(
    `ERR Can't execute '${hasSub ? `${name}|${wordOf(sub)}` : name}': only (P|S)SUBSCRIBE / ` +
      "(P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
  );
}

/** COMMAND, COMMAND COUNT, LIST, INFO and DOCS: https://redis.io/docs/latest/commands/command/ */
export function commandAnswer(args: readonly Buffer[]): RespValue {
  const names = args.slice(2).map(wordOf);
  switch (args.length === 1 ? "info" : wordOf(args[1])) {
    case "count":
      return { type: "integer", value: BigInt(Object.keys(COMMANDS).length) };
    case "list":
      return { type: "array", items: Object.keys(COMMANDS).map(bulkText) };
    case "docs":
      // redis-cli uses its own texts for commands that a server does not describe.
      return { type: "map", entries: [] };
    case "info":
      return {
        type: "array",
        items: (names.length > 0 ? names : Object.keys(COMMANDS)).map(commandInfo),
      };
    default: {
      const shown = args[1]?.toString("latin1", 0, 128) ?? "";
      return { type: "error", text: `ERR unknown subcommand '${shown}'. Try COMMAND HELP.` };
    }
  }
}

/** No command has keys here. The last four items are categories, hints, key specifications and subcommands: empty. */
function commandInfo(name: string): RespValue {
  const shape = COMMANDS[name];
  if (shape === undefined) return { type: "null", of: "array" };
  const number = (value: number): RespValue => ({ type: "integer", value: BigInt(value) });
  const none: RespValue = { type: "set", items: [] };
  const flags = shape.flags.map((text): RespValue => ({ type: "simple", text }));
  return {
    type: "array",
    items: [
      bulkText(name),
      number(shape.arity),
      { type: "set", items: flags },
      ...[0, 0, 0].map(number),
      ...[none, none, none, none],
    ],
  };
}
