// command-ways.ts: the way of an ioredis client's command into the engine. Pure.
import type { Command } from "ioredis";

/** engine: by itself. block: blocks at a node. multi, watch, unwatch, end: change the meaning of later commands. wait:
    counts earlier writes. stream: concerns ioredis's own connection. */
export type Way =
  "engine" | "block" | "multi" | "watch" | "end" | "wait" | "stream" | "quit" | "refused";

const WAYS: Readonly<Record<Exclude<Way, "engine" | "block">, readonly string[]>> = {
  multi: ["multi"],
  watch: ["watch"],
  /** Commands that end a MULTI or a WATCH. */
  end: ["exec", "discard", "unwatch"],
  wait: ["wait", "waitaof"],
  stream: [
    ...["subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe"],
    ...["hello", "auth", "select", "client", "reset", "ping", "echo"],
  ],
  quit: ["quit"],
  refused: ["monitor"],
};

const BLOCKING = [
  ...["blpop", "brpop", "brpoplpush", "blmove", "blmpop", "bzpopmin", "bzpopmax", "bzmpop"],
  ...["xread", "xreadgroup"],
];

const WAY_OF = new Map<string, Way>([
  ...Object.entries(WAYS).flatMap(([way, names]) =>
    names.map((name): [string, Way] => [name, way as Way]),
  ),
  ...BLOCKING.map((name): [string, Way] => [name, "block"]),
]);

const LOWER_A = 97;

/** The name in lower case; call() accepts any case. */
export function nameOf({ name }: Pick<Command, "name">): string {
  return name.charCodeAt(0) < LOWER_A ? name.toLowerCase() : name;
}

export function wayOf(command: Pick<Command, "name" | "args">): Way {
  const name = nameOf(command);
  const way = WAY_OF.get(name);
  if (way === undefined) return "engine";
  if (way === "block" && name.startsWith("x")) return readsStreams(command.args);
  const isReply = name === "client" && text(command.args[0]) === "reply";
  return isReply ? "refused" : way;
}

/** XREAD blocks only with BLOCK, which must come before STREAMS; after it, it is a stream's name. */
function readsStreams(args: Command["args"]): Way {
  for (const arg of args) {
    const word = text(arg);
    if (word === "streams") break;
    if (word === "block") return "block";
  }
  return "engine";
}

function text(arg: unknown): string {
  return typeof arg === "string" || Buffer.isBuffer(arg) ? arg.toString().toLowerCase() : "";
}

const READING_ALL = new Set(["dbsize", "keys", "scan", "randomkey", "info", "time", "lastsave"]);

/** Whether a command without keys reads from all partitions, or from any one, and changes nothing. */
export function readsAll(name: string): boolean {
  return READING_ALL.has(name);
}

/** The name of a refused command in its error. */
export function shownName(command: Command): string {
  const name = nameOf(command);
  return name === "client" ? "client reply" : name;
}
