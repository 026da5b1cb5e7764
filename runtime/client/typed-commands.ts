// typed-commands.ts: the typed commands of ioredis over somebody else's wire; the only place that knows ioredis.
//
//   client.hset("h", {a: 1})  ->  [hset, h, a, 1] as bytes  ->  perform  ->  a raw reply  ->  2
//
// ioredis gives the methods, their types, and how arguments and replies are shaped (HSET takes an object, HGETALL gives
// one). Bytes go in and a raw RESP2 reply comes back, so another library, or none, could stand here.
import { Command, Redis, ReplyError } from "ioredis";
import type commanderModule from "ioredis/built/utils/Commander.js";
import { TwineError } from "../core/errors.ts";
import { decodeReply } from "../resp/decode.ts";
import type { RespValue } from "../resp/value.ts";

/** What gives ioredis's own clients their methods. ioredis exports its type by a file of its own, and CommonJS in a file
    of its own is read in two ways (by Node, and by vitest and bundlers); as the ancestor of Redis it is the same in all. */
const Commander = Object.getPrototypeOf(Redis) as typeof commanderModule.default;
const NodeError = ReplyError as new (message: string) => Error;

/** What a typed command becomes and what becomes of it. */
export interface TypedCommand {
  readonly args: readonly Buffer[];
  readonly promise: Promise<unknown>;
  /** Shapes the raw reply as its caller wants it, and settles the promise. */
  take(reply: Buffer): void;
  /** The same with one element of a transaction's reply. */
  takeValue(value: RespValue): void;
  fail(error: Error): void;
}

/** Every command as a method that gives a promise. */
export abstract class TypedCommands extends Commander<{ type: "default" }> {
  override sendCommand(command: Command): unknown {
    const typed = typedCommand(command, this);
    this.perform(typed);
    return typed.promise;
  }

  protected abstract perform(command: TypedCommand): void;
}

/** Every command as a method that gives the chain itself. */
export abstract class TypedChain extends Commander<{ type: "pipeline" }> {
  override sendCommand(command: Command): unknown {
    // An owner of its own for each, so that a script goes as EVAL: its node may not know it yet, and within a
    // transaction there is no second try.
    const typed = typedCommand(command, {});
    // The chain's result tells of failures; nobody else waits for the single promises.
    typed.promise.catch(() => undefined);
    this.add(typed);
    return this;
  }

  protected abstract add(command: TypedCommand): void;
}

/** Gives `to` what defineCommand has given `from`. */
export function inheritScripts(from: TypedCommands, to: TypedCommands | TypedChain): void {
  const { scriptsSet } = from as unknown as { readonly scriptsSet: object };
  for (const script of Object.keys(scriptsSet)) {
    for (const name of [script, `${script}Buffer`]) Reflect.set(to, name, Reflect.get(from, name));
  }
}

function typedCommand(command: Command, owner: object): TypedCommand {
  // A script of defineCommand decides between EVAL and EVALSHA when it is about to be written.
  if (command.constructor !== Command) command.toWritable(owner);
  const args = [command.name, ...command.args].map((arg) =>
    Buffer.isBuffer(arg) ? arg : Buffer.from(String(arg)),
  );
  const takeValue = (value: RespValue): void => {
    if (value.type === "error" || value.type === "bulk-error") command.reject(errorOf(value));
    else command.resolve(plainValue(value));
  };
  return {
    args,
    promise: command.promise,
    take: (reply) => {
      takeValue(decodeReply(reply));
    },
    takeValue,
    fail: (error) => {
      command.reject(error);
    },
  };
}

/** As ioredis has values before it shapes them: text as bytes, integers as numbers. */
function plainValue(value: RespValue): unknown {
  switch (value.type) {
    case "simple":
    case "double":
      return Buffer.from(value.text, "latin1");
    case "integer":
    case "big":
      return Number(value.value);
    case "bulk":
    case "verbatim":
      return value.bytes;
    case "null":
      return null;
    case "boolean":
      return value.value;
    case "array":
    case "set":
    case "push":
      return value.items.map(plainValue);
    case "map":
      return value.entries.flat().map(plainValue);
    case "error":
    case "bulk-error":
      return errorOf(value);
  }
}

/** What this client says itself, by the first word of its errors, and the remedy. */
const REMEDIES: Readonly<Record<string, string>> = {
  TWINEDOWN: "see twine-status; hold-for says how long a request may wait for its partition",
  UNCERTAIN: "read the key to see what became of it, or see retry-unknown idempotent",
  UNDERREPLICATED: "the master has the write; see why its replicas lag, or lower ack-replicas",
  CROSSSLOT: "give keys that belong together a hash tag",
  CLIENT_CLOSED: "make another client",
  PARTIAL: "repeat it for the keys that the message names",
};

function errorOf(value: Extract<RespValue, { type: "error" | "bulk-error" }>): Error {
  const raw = value.type === "error" ? Buffer.from(value.text, "latin1") : value.bytes;
  return errorFromText(raw.toString("utf8"));
}

/** A node's error as ioredis has it; the client's own as a TwineError whose code is its first word. */
export function errorFromText(text: string): Error {
  const [code = ""] = text.split(" ");
  const remedy = REMEDIES[code];
  if (remedy !== undefined) return new TwineError({ code, message: text, remedy });
  if (text.startsWith("ERR twine: ")) {
    return new TwineError({ code: "NOT_SUPPORTED", message: text.slice("ERR twine: ".length) });
  }
  return new NodeError(text);
}
