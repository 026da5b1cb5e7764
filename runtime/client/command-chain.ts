// command-chain.ts: commands gathered to be sent together: a pipeline, whose commands each go their way and come back in
// order, or a transaction, which goes to one partition in one piece.
import type { Callback } from "ioredis";
import { TwineError } from "../core/errors.ts";
import { decodeReply } from "../resp/decode.ts";
import { itemsOf } from "../resp/value.ts";
import { TypedChain, type TypedCommand } from "./typed-commands.ts";

/** One [error, value] for each command, in their order; null when a transaction was not executed. */
export type ChainResult = [error: Error | null, result: unknown][] | null;

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
