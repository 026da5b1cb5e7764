// command-chain.ts: commands gathered to be sent together: a pipeline, whose commands each go their way and come back in
// order, or a transaction, which goes to one partition in one piece.
import type { Callback } from "ioredis";
import { TwineError } from "../core/errors.ts";
import { decodeReply } from "../resp/decode.ts";
import { itemsOf } from "../resp/value.ts";
import {
  inheritScripts,
  TypedChain,
  type TypedCommand,
  type TypedCommands,
} from "./typed-commands.ts";

/** One [error, value] for each command, in their order; null when a transaction was not executed. */
export type ChainResult = [error: Error | null, result: unknown][] | null;

/** Commands as lists, as ioredis takes them: [["set", "a", "1"], ["get", "a"]]. */
export type ChainCommands = readonly (readonly unknown[])[];

/** ioredis's options of multi(). */
export interface MultiOptions {
  readonly pipeline?: boolean;
}

/** Sends the commands and settles each of them; resolves when the transaction's reply has come. */
export interface ChainSender {
  pipeline(commands: readonly TypedCommand[]): void;
  transaction(commands: readonly (readonly Buffer[])[]): Promise<Buffer>;
}

export class CommandChain extends TypedChain {
  readonly #kind: "pipeline" | "transaction";
  readonly #sender: ChainSender;
  #commands: TypedCommand[] = [];
  #isSent = false;

  constructor(kind: "pipeline" | "transaction", sender: ChainSender) {
    super();
    this.#kind = kind;
    this.#sender = sender;
  }

  get length(): number {
    return this.#commands.length;
  }

  /** Sends what was gathered. A pipeline never rejects: each command has its own error. A transaction rejects when it was
      not executed. Throws CHAIN_SENT the second time. */
  override exec(callback?: Callback<ChainResult>): Promise<ChainResult> {
    const result = this.#exec();
    if (callback !== undefined) {
      result.then(
        (value) => {
          callback(null, value);
        },
        (error: unknown) => {
          callback(error instanceof Error ? error : new Error(String(error)));
        },
      );
    }
    return result;
  }

  /** Adds each as if its method had been called. Throws CHAIN_COMMAND_BAD for what is no list with a name first. */
  addBatch(commands: ChainCommands): this {
    for (const command of commands) {
      const [name, ...args] = Array.isArray(command) ? (command as readonly unknown[]) : [];
      if (typeof name !== "string" || name === "") {
        throw new TwineError({
          code: "CHAIN_COMMAND_BAD",
          message: "a command of a pipeline or transaction is no list that begins with its name",
          remedy: 'write [["set", "a", "1"], ["get", "a"]]',
        });
      }
      const method: unknown = this.#isMethod(name) ? Reflect.get(this, name) : undefined;
      if (typeof method === "function") Reflect.apply(method, this, args);
      else this.call(name, ...(args as string[]));
    }
    return this;
  }

  /** A command of ioredis or a script; exec and the chain's own methods are none. */
  #isMethod(name: string): boolean {
    if (Object.hasOwn(this, name)) return true;
    return name !== "exec" && this.getBuiltinCommands().includes(name.replace(/Buffer$/, ""));
  }

  protected add(command: TypedCommand): void {
    const name = command.args[0]?.toString("latin1").toLowerCase() ?? "";
    if (name === "multi" || name === "discard") {
      throw new TwineError({
        code: "NOT_SUPPORTED",
        message: `${name} inside a pipeline`,
        remedy: "begin a transaction with the client's multi() and end it with exec()",
      });
    }
    this.#commands.push(command);
  }

  async #exec(): Promise<ChainResult> {
    if (this.#isSent) {
      throw new TwineError({
        code: "CHAIN_SENT",
        message: "exec() was called twice on one pipeline or transaction",
        remedy: "begin another one with pipeline() or multi()",
      });
    }
    this.#isSent = true;
    const commands = this.#commands;
    if (commands.length === 0) return [];
    if (this.#kind === "pipeline") this.#sender.pipeline(commands);
    else if (!(await this.#transact(commands))) return null;
    return Promise.all(commands.map(outcomeOf));
  }

  /** False when the transaction was given up by its node. */
  async #transact(commands: readonly TypedCommand[]): Promise<boolean> {
    const reply = await this.#sender.transaction(commands.map(({ args }) => args));
    const value = decodeReply(reply);
    if (value.type === "null") return false;
    const items = itemsOf(value);
    commands.forEach((command, index) => {
      const item = items[index];
      if (item === undefined) command.fail(new Error("EXEC brought too few replies"));
      else command.takeValue(item);
    });
    return true;
  }
}

async function outcomeOf({ promise }: TypedCommand): Promise<[Error | null, unknown]> {
  try {
    return [null, await promise];
  } catch (error) {
    return [error instanceof Error ? error : new Error(String(error)), undefined];
  }
}

/** A pipeline of a client, with its scripts; `commands` are added at once. */
export function beginPipeline(
  owner: TypedCommands,
  sender: ChainSender,
  commands: ChainCommands = [],
): CommandChain {
  const chain = new CommandChain("pipeline", sender);
  inheritScripts(owner, chain);
  return chain.addBatch(commands);
}

/** The same for a transaction, by the arguments of ioredis's multi(). Throws NOT_SUPPORTED for { pipeline: false }. */
export function beginTransaction(
  owner: TypedCommands,
  sender: ChainSender,
  first: ChainCommands | MultiOptions = [],
  options: MultiOptions = {},
): CommandChain {
  const isList = Array.isArray as (value: typeof first) => value is ChainCommands;
  const [commands, said] = isList(first) ? [first, options] : [[], first];
  if (said.pipeline === false) {
    // Its commands would be sent one by one over connections that all callers share.
    throw new TwineError({
      code: "NOT_SUPPORTED",
      message: "multi({ pipeline: false }) is not supported: a transaction is sent in one piece",
      remedy: "gather its commands with multi() and send them with exec()",
    });
  }
  const chain = new CommandChain("transaction", sender);
  inheritScripts(owner, chain);
  return chain.addBatch(commands);
}
