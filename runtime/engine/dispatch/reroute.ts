// reroute.ts: places requests that were not executed before the routing changed: their keys are hashed again, and a
// request is split if its keys are in several partitions now.
//
//   MGET a b  (both were in 0)   ->   MGET a to 1, MGET b to 2, one reply to the same sink
import type { Placement, Place, MovedRequest, Reroute } from "../pipelines/routing-switch.ts";
import { KeptReply } from "../pipelines/reply-sink.ts";
import { RequestSplitter } from "../../resp/request-splitter.ts";
import { errorReply } from "../../resp/encode.ts";
import { decide, type Decision } from "../../route/decide.ts";
import { mergeReplies, splitCommand } from "../../route/replies/split.ts";
import { crossSlot } from "../../route/replies/wire-errors.ts";
import type { CommandSource } from "./command-source.ts";
import { keysOfSplit } from "./dispatch.ts";
import { collector } from "./pending-command.ts";
import type { RoutedView } from "../pipelines/routed-view.ts";
import { errorText } from "../../core/error-text.ts";

type ByKeys = Extract<Decision, { kind: "forward" | "split" }>;

export function rerouteBy(options: {
  readonly routed: RoutedView;
  readonly commands: () => CommandSource;
}): Reroute {
  const { routed } = options;
  return (request) => {
    const { table } = options.commands();
    const { partitions, hashTag } = routed.routing;
    const args = argsOf(request.command);
    const decision = table === undefined ? undefined : decide(args, { table, partitions, hashTag });
    if (decision?.kind !== "forward" && decision?.kind !== "split") {
      return withoutKeys(request, partitions);
    }
    const at = decision.kind === "forward" ? decision.keys : keysOfSplit(args, decision.keyStep);
    const keys = at.map((index) => args[index] ?? NOTHING);
    const failed = (error: unknown): Placement => {
      const why = errorText(error);
      return answering(request, errorReply(`ERR twine: the hash of twine.conf failed: ${why}`));
    };
    try {
      const found = keys.map((key) => routed.routing.partitionOf(key));
      if (found.every((one) => typeof one === "number")) {
        return byKeys(request, args, decision, keys, found);
      }
      return Promise.all(found.map((one) => Promise.resolve(one))).then(
        (located) => byKeys(request, args, decision, keys, located),
        failed,
      );
    } catch (error) {
      return failed(error);
    }
  };
}

const NOTHING = Buffer.alloc(0);

/** It stays in its partition if that number still exists: dispatch.ts repeats gathers over all partitions. */
function withoutKeys(request: MovedRequest, partitions: number): Placement {
  if (request.oldPartition < partitions) {
    return (place) => {
      place(request.oldPartition, false, request);
    };
  }
  return answering(request, errorReply("TWINEDOWN the number of partitions has changed"));
}

function byKeys(
  request: MovedRequest,
  args: readonly Buffer[],
  decision: ByKeys,
  keys: readonly Buffer[],
  partitions: readonly number[],
): Placement {
  const [partition = 0] = partitions;
  const other = partitions.findIndex((one) => one !== partition);
  if (other === -1) {
    return (place) => {
      place(partition, false, request);
    };
  }
  if (decision.kind === "split") return split(request, args, decision, partitions);
  const [key = NOTHING, otherKey = NOTHING] = [keys[0], keys[other]];
  return answering(request, crossSlot(key, partition, otherKey, partitions[other] ?? 0));
}

function split(
  request: MovedRequest,
  args: readonly Buffer[],
  decision: Extract<Decision, { kind: "split" }>,
  partitions: readonly number[],
): Placement {
  const parts = splitCommand(args, decision, partitions);
  const collect = collector(parts.length, (replies) => {
    answer(request, mergeReplies(args, decision, parts, replies));
  });
  return (place: Place) => {
    parts.forEach(({ partition, command }, index) => {
      const sink = new KeptReply(request.sink.owner, collect(index));
      place(partition, false, { ...request, sink, tag: 0, command });
    });
  };
}

function answering(request: MovedRequest, reply: Buffer): Placement {
  return () => {
    answer(request, reply);
  };
}

function answer({ sink, tag }: MovedRequest, reply: Buffer): void {
  if (!sink.isGone) sink.take(tag, reply, 0, reply.length);
}

function argsOf(command: Buffer): readonly Buffer[] {
  const splitter = new RequestSplitter();
  splitter.push(command);
  return splitter.next()?.args ?? [];
}
