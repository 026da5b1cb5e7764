// transaction-queue.ts: decides how a command between MULTI and EXEC is queued. Pure.
//
// The engine keeps the queue and sends nothing before EXEC. So a transaction during a failover is buffered, and a client
// that disconnects leaves no state at a node. Redis's checks when it queues a command (name, arity) are made here with the
// same error texts. Errors that only the node knows (no memory left) are reported at EXEC, as EXECABORT.
import type { Routing } from "../../core/routing.ts";
import type { DedicatedConnection } from "./connection.ts";
import type { CommandTable } from "../../route/commands/command-table.ts";
import { decide, type Decision } from "../../route/decide.ts";
import { isIdempotent } from "../../route/commands/repeatable.ts";
import { refusal } from "../../route/replies/wire-errors.ts";
import { errorReply } from "../../resp/encode.ts";
import type { Request } from "../../resp/request-splitter.ts";

export interface QueuedCommand {
  /** Undefined: SELECT 0, sent as SELECT of the partition's database at the node. */
  readonly command: Buffer | undefined;
  /** All must be in the transaction's partition. */
  readonly keys: readonly Buffer[];
  readonly isRead: boolean;
  /** Executing it twice has the effect of executing it once. */
  readonly isRepeatable: boolean;
}

export interface Watch {
  readonly partition: number;
  /** Undefined when the WATCH was lost before this client was made. */
  readonly routing: Routing | undefined;
  /** The first key, for errors. */
  readonly key: Buffer;
  /** Undefined when the WATCH is lost. */
  connection: DedicatedConnection | undefined;
}

export interface TransactionQueue {
  /** The routing that `partition` belongs to. */
  readonly routing: Routing;
  readonly items: QueuedCommand[];
  bytes: number;
  partition: number | undefined;
  key: Buffer | undefined;
  /** A command was refused: EXEC executes nothing. */
  isBroken: boolean;
  /** The engine has dropped the commands, because hold-bytes was used up. */
  isDropped: boolean;
}

export type Queueing =
  | { readonly kind: "queued"; readonly item: QueuedCommand }
  | { readonly kind: "refused"; readonly reply: Buffer };

const NOT_INSIDE = "the router answers it itself, outside of a transaction";
const ALL_PARTITIONS = "it concerns all partitions, a transaction only one";
const NO_MULTI_REPLY = errorReply("ERR Command not allowed inside a transaction");

export function queueCommand(
  { args, raw }: Request,
  options: {
    readonly table: CommandTable;
    readonly partitions: number;
    readonly hashTag: string | undefined;
  },
): Queueing {
  const name = args[0]?.toString("latin1", 0, 128).toLowerCase() ?? "";
  if (options.table.get(name)?.flags.has("no_multi") === true) {
    return { kind: "refused", reply: NO_MULTI_REPLY };
  }
  const decision = decide(args, options);
  const queued = (
    command: Buffer | undefined,
    keys: readonly Buffer[],
    isRead: boolean,
  ): Queueing => ({
    kind: "queued",
    item: { command, keys, isRead, isRepeatable: isRead || isIdempotent(args) },
  });
  const refused = (reason: string): Queueing => ({
    kind: "refused",
    reply: refusal(name, reason),
  });
  switch (decision.kind) {
    case "reply":
      // A reply that is no error comes from the engine itself.
      if (decision.reply[0] !== 45) return refused(NOT_INSIDE);
      return { kind: "refused", reply: decision.reply };
    case "forward":
      if (decision.cursorAt !== undefined) return refused("its cursors are the router's own");
      return queued(raw, keysAt(args, decision.keys), decision.isRead);
    case "blocking":
      return queued(raw, keysAt(args, decision.keys), decision.isRead);
    case "split": {
      const keys = args.filter((_, at) => at > 0 && (at - 1) % decision.keyStep === 0);
      return queued(raw, keys, decision.isRead);
    }
    case "any":
      if (decision.hasSecrets === true) return refused(NOT_INSIDE);
      return queued(decision.command ?? raw, [], decision.isRead);
    case "gather":
      return wholeCluster(decision, options.partitions, queued, refused);
    case "session":
      return ofSession(name, args, raw, queued, refused);
    case "own":
      return name === "unwatch"
        ? queued(raw, [], true)
        : refused(`it has a connection of its own, which a transaction can't use`);
    default:
      return refused(NOT_INSIDE);
  }
}

type Queued = (command: Buffer | undefined, keys: readonly Buffer[], isRead: boolean) => Queueing;
type Refused = (reason: string) => Queueing;

function wholeCluster(
  decision: Extract<Decision, { kind: "gather" }>,
  partitions: number,
  queued: Queued,
  refused: Refused,
): Queueing {
  // These replies are composed by the engine even with one partition.
  const isMade = decision.gather === "info" || decision.gather === "slowlog";
  if (partitions > 1 || isMade) return refused(ALL_PARTITIONS);
  return queued(decision.command, [], decision.isRead);
}

function ofSession(
  name: string,
  args: readonly Buffer[],
  raw: Buffer,
  queued: Queued,
  refused: Refused,
): Queueing {
  if (name === "ping" || name === "echo") return queued(raw, [], true);
  if (name !== "select") return refused(NOT_INSIDE);
  if (args[1]?.toString("latin1") === "0") return queued(undefined, [], true);
  return refused("a partition has one database, and it is 0 here");
}

function keysAt(args: readonly Buffer[], indices: readonly number[]): Buffer[] {
  return indices.flatMap((index) => args[index] ?? []);
}
