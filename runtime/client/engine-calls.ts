// engine-calls.ts: runs the commands of one ioredis client as calls of the engine: encodes them, and decodes their
// replies.
import { Command, type Redis } from "ioredis";
import { ProgramCalls, type ProgramPort } from "../engine/calls/program-calls.ts";
import { systemClock } from "../ports/clock.ts";
import type { CommandArgument, CommandWriter } from "../resp/command-writer.ts";
import type { Protocol } from "../resp/encode.ts";
import { PlainReplies } from "../resp/plain-reply.ts";
import { nameOf, readsAll } from "./command-ways.ts";
import type { EngineHost } from "./engine-host.ts";
import {
  closedError,
  notReadyError,
  replyError,
  uncertainError,
  type ClusterReplyError,
} from "./reply-errors.ts";

const MINUS = 45;
const BANG = 33;
const PUBLISHING = new Set(["publish", "spublish"]);

export class EngineCalls extends ProgramCalls<Command> {
  readonly #redis: Redis;
  readonly #protocol: Protocol;
  readonly #replies: PlainReplies;
  /** By partition: which scripts were sent to its node. */
  #scriptOwners = new Map<number, object>();

  constructor(redis: Redis, host: EngineHost) {
    const { protocol: wanted, replyMapping, stringNumbers } = redis.options;
    const protocol = wanted === 2 ? 2 : 3;
    super({
      ...{ clock: systemClock, holdForMs: host.holdForMs, protocol, nameOf },
      keysOf: orderKeysOf,
      isOvertakable: (command) => readsAll(nameOf(command)),
      partitionOf: (key) => host.opened?.partitionOf(key) ?? "later",
      whyNotReady: () => host.opened?.whyNotReady() ?? notReadyError(undefined),
      reject: (command, error) => {
        command.reject(error);
      },
      write: (command, writer, isAlone) => {
        this.#write(command, writer, isAlone);
      },
      answer: (command, bytes, start, unit = [command]) => {
        this.#answer(command, bytes, start, unit);
      },
      giveUp: (command, outcome) => {
        command.reject(outcome === "closed" ? closedError() : uncertainError(nameOf(command)));
      },
    } satisfies ProgramPort<Command>);
    this.#redis = redis;
    this.#protocol = protocol;
    this.#replies = new PlainReplies(
      { isResp3: replyMapping === "resp3", hasStringNumbers: stringNumbers === true },
      replyError,
    );
  }

  /** Sets how the reply will be decoded. Called before the command is sent. */
  setContext(command: Command): void {
    const { condition, options } = this.#redis;
    command.setReplyContext(
      condition ?? { protocol: this.#protocol, replyMapping: options.replyMapping ?? "legacy" },
    );
  }

  /** Called after a failover: the new master has none of the scripts. */
  forgetScripts(): void {
    this.#scriptOwners = new Map();
  }

  #write(command: Command, writer: CommandWriter, isAlone: boolean): void {
    // Within a transaction each script gets a new owner, because EVALSHA can't be retried with EVAL there.
    if (command.constructor !== Command) {
      command.toWritable(isAlone ? this.#scriptOwner(command) : {});
    }
    writer.write(command.name, command.args as CommandArgument[]);
  }

  #answer(command: Command, bytes: Buffer, start: number, unit: readonly Command[]): void {
    const type = bytes[start];
    const value = this.#replies.decode(bytes, start, command["replyEncoding"] === "utf8");
    if (type !== MINUS && type !== BANG) {
      // Undecodable values become errors in a list. MGET's list can't have errors, so the whole command fails.
      const failed =
        Array.isArray(value) && nameOf(command) === "mget" ? value.find(isError) : undefined;
      if (failed === undefined) command.resolve(value);
      else this.#fail(command, failed, unit);
      return;
    }
    this.#fail(command, value as ClusterReplyError, unit);
  }

  #fail(command: Command, error: ClusterReplyError, unit: readonly Command[]): void {
    const { name, args } = command;
    error.command = { name, args };
    if (error.code === "TWINEDOWN" && this.order.oldestMs !== undefined) {
      this.order.failOverdue(this.order.partitionsOf(unit), replyError(error.message));
    }
    const { options, stream } = this.#redis;
    if (typeof options.reconnectOnError !== "function") command.reject(error);
    else this.#redis.handleReconnection(error, { command, stream, select: 0 });
  }

  #scriptOwner(command: Command): object {
    const partitions = this.order.partitionsOf([command]);
    const [partition] = partitions === "all" ? [] : partitions;
    if (partition === undefined) return {};
    const owner = this.#scriptOwners.get(partition) ?? {};
    this.#scriptOwners.set(partition, owner);
    return owner;
  }
}

/** For PUBLISH the channel, because it determines the partition. */
function orderKeysOf(command: Command): readonly (string | Buffer)[] {
  const [channel] = command.args;
  const isPublish = PUBLISHING.has(nameOf(command));
  const isName = typeof channel === "string" || Buffer.isBuffer(channel);
  return isPublish && isName ? [channel] : command.getKeys();
}

function isError(value: unknown): value is ClusterReplyError {
  return value instanceof Error;
}
