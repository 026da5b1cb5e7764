// transaction-queue.ts: what one command becomes between MULTI and EXEC. Pure.
//
// The queue is the router's: nothing is sent before EXEC, so a transaction that meets a failover is simply held, and a
// client that leaves in its midst leaves nothing behind. What Redis checks when it queues a command is checked here too
// (name, arity), in its words; what only the node can know (no memory left) comes out at EXEC, as EXECABORT.
import type { CommandTable } from "../../route/command-table.ts";
import { decide, type Decision } from "../../route/decide.ts";
import { isIdempotent } from "../../route/repeatable.ts";
import { refusal } from "../../route/wire-errors.ts";
import { errorReply } from "../../resp/encode.ts";
import type { Request } from "../../resp/request-splitter.ts";

export interface QueuedCommand {
  /** Undefined: SELECT 0, which on the node is that of the partition's own database. */
  readonly command: Buffer | undefined;
  /** They must all lie in the transaction's partition. */
  readonly keys: readonly Buffer[];
  readonly isRead: boolean;
  /** Executed twice it leaves what it leaves when executed once. */
  readonly isRepeatable: boolean;
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
      // Anything but an error is the router's own knowledge.
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
  // The replies of these are made of the partitions' even when there is one partition only.
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
