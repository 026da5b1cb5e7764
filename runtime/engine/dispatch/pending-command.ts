// pending-command.ts: a command in progress, and how a part of it is sent to one partition.
import type { Random } from "../../ports/random.ts";
import type { Protocol } from "../../resp/encode.ts";
import type { Request } from "../../resp/request-splitter.ts";
import type { ClientFacts } from "../../route/session/session-state.ts";
import { masterNode } from "../pipelines/pipeline-context.ts";
import type { NodePipelines } from "../pipelines/node-pipelines.ts";
import { KeptReply, type Requester } from "../pipelines/reply-sink.ts";
import type { RoutedView } from "../pipelines/routed-view.ts";
import type { RouterStats } from "../stats/counters.ts";
import type { CommandSource } from "./command-source.ts";

export interface DispatchContext {
  readonly routed: RoutedView;
  readonly commands: CommandSource;
  readonly random: Random;
  readonly pipelines: NodePipelines;
  /** The clients of this process. */
  readonly clients?: ReadonlySet<{ readonly facts: ClientFacts }>;
  readonly stats: RouterStats;
}

/** A command in progress. */
export interface PendingCommand {
  readonly request: Request;
  readonly protocol: Protocol;
  readonly from: Requester;
  /** Settles when the commands that must not be overtaken were sent; absent: they were. */
  readonly turn?: Promise<void> | undefined;
  /** Its client watches keys: a replica could return a value older than the WATCH, which would not guard it. */
  readonly readsMaster?: boolean;
  done(reply: Buffer): void;
}

export interface Submission {
  readonly partition: number;
  readonly isRead: boolean;
  readonly command: Buffer;
  /** Only the master can execute it, although it only reads. */
  readonly isMasters?: boolean | undefined;
}

export function submit(
  pending: PendingCommand,
  context: DispatchContext,
  { partition, isRead, command, isMasters = false }: Submission,
  done: (reply: Buffer) => void = (reply) => {
    pending.done(reply);
  },
): void {
  const mayBeReplica = isRead && !isMasters && pending.readsMaster !== true;
  const pipeline = context.pipelines.of(partition, pending.protocol, mayBeReplica);
  pipeline.submit(new KeptReply(pending.from, done), 0, command, 0, command.length, isRead);
}

/** The first partition with a master, so that one partition's outage does not affect TIME or COMMAND. */
export function anyPartition(context: DispatchContext): number {
  const { view, routing } = context.routed;
  for (let partition = 0; partition < routing.partitions; partition++) {
    if (masterNode(view, partition) !== undefined) return partition;
  }
  return 0;
}

/** Calls `finish` with all replies, in the order of their indices, when the last one has arrived. */
export function collector(
  count: number,
  finish: (replies: readonly Buffer[]) => void,
): (index: number) => (reply: Buffer) => void {
  const replies: Buffer[] = [];
  let left = count;
  return (index) => (reply) => {
    replies[index] = reply;
    left--;
    if (left === 0) finish(replies);
  };
}
