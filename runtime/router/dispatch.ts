// dispatch.ts: one command of one client to the lanes it needs, and its one reply back.
import type { Partitioner } from "../ports/partitioner.ts";
import type { Random } from "../ports/random.ts";
import { bulk, encodeCommand, errorReply, type Protocol } from "../resp/encode.ts";
import { elementsOf } from "../resp/reply-scanner.ts";
import { decodeReply } from "../resp/decode.ts";
import { textOf } from "../resp/value.ts";
import type { Request } from "../resp/request-splitter.ts";
import { decide, type Decision } from "../route/decide.ts";
import { gatherReplies } from "../route/gather.ts";
import { cursorAfter, parseCursor, tagOf, type ScanPosition } from "../route/scan-cursor.ts";
import { mergeReplies, splitCommand } from "../route/split.ts";
import { crossSlot } from "../route/wire-errors.ts";
import type { CommandSource } from "./command-source.ts";
import type { GuardedView } from "../register/guarded-view.ts";
import { KeptReply, type Requester } from "./reply-sink.ts";
import type { Lanes } from "./lanes.ts";
import { masterNode } from "./lane-context.ts";

export interface DispatchContext {
  readonly partitions: number;
  readonly partitioner: Partitioner;
  readonly viewSource: GuardedView;
  readonly commands: CommandSource;
  readonly random: Random;
  readonly lanes: Lanes;
}

/** One command on its way. */
export interface Errand {
  readonly request: Request;
  readonly protocol: Protocol;
  readonly from: Requester;
  done(reply: Buffer): void;
}

/** Sends the command on its way. Undefined when everything was handed to the lanes at once; otherwise resolves when it
    was, and the client's next command must wait for that. */
export function dispatch(errand: Errand, context: DispatchContext): Promise<void> | undefined {
  const { table } = context.commands;
  if (table === undefined) {
    errand.done(errorReply("TWINEDOWN no data node has told its commands"));
    return undefined;
  }
  const clash = context.viewSource.clash();
  if (clash !== undefined) {
    errand.done(errorReply(`TWINEDOWN nothing is routed: ${clash}`));
    return undefined;
  }
  const { args, raw } = errand.request;
  const decision = decide(args, { table, partitions: context.partitions });
  switch (decision.kind) {
    case "reply":
      errand.done(decision.reply);
      return undefined;
    case "session":
      errand.done(errorReply("ERR twine: the session answers this itself"));
      return undefined;
    case "any":
      submit(errand, context, anyPartition(context), decision.isRead, decision.command ?? raw);
      return undefined;
    case "gather":
      gather(errand, context, decision);
      return undefined;
    case "scan":
      scan(errand, context, args[1]?.toString("latin1") ?? "");
      return undefined;
    case "forward":
    case "split":
      return byKeys(errand, context, decision);
  }
}

function submit(
  errand: Errand,
  context: DispatchContext,
  partition: number,
  isRead: boolean,
  command: Buffer,
  done: (reply: Buffer) => void = (reply) => {
    errand.done(reply);
  },
): void {
  const lane = context.lanes.of(partition, errand.protocol, isRead);
  lane.submit(new KeptReply(errand.from, done), 0, command, 0, command.length, isRead);
}

/** The first partition that has a master, so that one partition's outage doesn't take TIME or COMMAND with it. */
function anyPartition(context: DispatchContext): number {
  const view = context.viewSource.current();
  for (let partition = 0; partition < context.partitions; partition++) {
    if (masterNode(view, partition) !== undefined) return partition;
  }
  return 0;
}

type ByKeys = Extract<Decision, { kind: "forward" | "split" }>;

function byKeys(
  errand: Errand,
  context: DispatchContext,
  decision: ByKeys,
): Promise<void> | undefined {
  const { args } = errand.request;
  const keys = decision.kind === "forward" ? decision.keys : keysOfSplit(args, decision.keyStep);
  const partitions: number[] = [];
  const later: Promise<void>[] = [];
  const fail = (error: unknown): void => {
    const why = error instanceof Error ? error.message : String(error);
    errand.done(errorReply(`ERR twine: the hash of twine.conf failed: ${why}`));
  };
  try {
    keys.forEach((index, at) => {
      const partition = context.partitioner.partitionOf(args[index] ?? Buffer.alloc(0));
      if (typeof partition === "number") partitions[at] = partition;
      else later.push(partition.then((number) => void (partitions[at] = number)));
    });
  } catch (error) {
    fail(error);
    // Those that were asked before may fail as well; the client has its answer already.
    return later.length === 0 ? undefined : Promise.allSettled(later).then(() => undefined);
  }
  if (later.length === 0) {
    place(errand, context, decision, keys, partitions);
    return undefined;
  }
  return Promise.all(later).then(() => {
    place(errand, context, decision, keys, partitions);
  }, fail);
}

function keysOfSplit(args: readonly Buffer[], keyStep: number): number[] {
  const keys: number[] = [];
  for (let index = 1; index < args.length; index += keyStep) keys.push(index);
  return keys;
}

function place(
  errand: Errand,
  context: DispatchContext,
  decision: ByKeys,
  keys: readonly number[],
  partitions: readonly number[],
): void {
  const { args, raw } = errand.request;
  const first = partitions[0] ?? 0;
  const stray = partitions.findIndex((partition) => partition !== first);
  if (stray === -1) {
    submit(errand, context, first, decision.isRead, raw);
    return;
  }
  if (decision.kind === "forward") {
    const [key, other] = [args[keys[0] ?? 1], args[keys[stray] ?? 1]];
    const none = Buffer.alloc(0);
    errand.done(crossSlot(key ?? none, first, other ?? none, partitions[stray] ?? 0));
    return;
  }
  const parts = splitCommand(args, decision, partitions);
  const collect = collector(parts.length, (replies) => {
    errand.done(mergeReplies(args, decision, parts, replies));
  });
  parts.forEach((part, index) => {
    submit(errand, context, part.partition, decision.isRead, part.command, collect(index));
  });
}

/** Gives `finish` all replies, in the order of their indices, when the last one has come. */
function collector(
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

function gather(
  errand: Errand,
  context: DispatchContext,
  decision: Extract<Decision, { kind: "gather" }>,
): void {
  const { partitions } = context;
  const withSizes = decision.gather === "randomkey";
  const view = context.viewSource.current();
  const gatherContext = {
    name: errand.request.args[0]?.toString("latin1") ?? "",
    random: context.random.next(),
    dbs: Array.from({ length: partitions }, (_, index) => masterNode(view, index)?.db ?? 0),
  };
  const collect = collector(withSizes ? partitions * 2 : partitions, (replies) => {
    const [firsts, sizes] = [replies.slice(0, partitions), replies.slice(partitions)];
    errand.done(gatherReplies(decision.gather, firsts, gatherContext, sizes));
  });
  for (let index = 0; index < partitions; index++) {
    submit(errand, context, index, decision.isRead, decision.command, collect(index));
    if (withSizes) submit(errand, context, index, true, DBSIZE, collect(partitions + index));
  }
}

const DBSIZE = encodeCommand(["DBSIZE"]);

/** One step of SCAN. When the master changed since the cursor was given, or while the step was on its way, the
    partition is scanned from its beginning. */
function scan(errand: Errand, context: DispatchContext, cursor: string): void {
  const position = parseCursor(cursor, context.partitions);
  if (position === undefined) {
    errand.done(errorReply("ERR invalid cursor"));
    return;
  }
  const tag = masterTag(context, position.partition);
  const isKnown = position.nodeCursor === "0" || position.tag === tag;
  scanStep(errand, context, { ...position, tag, nodeCursor: isKnown ? position.nodeCursor : "0" });
}

function scanStep(errand: Errand, context: DispatchContext, position: ScanPosition): void {
  const { args } = errand.request;
  const rest = args.slice(2);
  const command = encodeCommand([args[0] ?? "SCAN", position.nodeCursor, ...rest]);
  submit(errand, context, position.partition, true, command, (reply) => {
    const tag = masterTag(context, position.partition);
    if (tag !== position.tag && !errand.from.isGone) {
      scanStep(errand, context, { ...position, tag, nodeCursor: "0" });
      return;
    }
    const [nodeCursor, keys] = elementsOf(reply) ?? [];
    if (nodeCursor === undefined || keys === undefined) {
      errand.done(reply);
      return;
    }
    const next = { ...position, nodeCursor: textOf(decodeReply(nodeCursor)) ?? "0" };
    const cursor = Buffer.from(cursorAfter(next, context.partitions));
    errand.done(Buffer.concat([Buffer.from("*2\r\n"), bulk(cursor), keys]));
  });
}

function masterTag(context: DispatchContext, partition: number): number {
  const node = masterNode(context.viewSource.current(), partition);
  return node === undefined ? 0 : tagOf(`${node.name} ${node.runId ?? ""} ${node.since}`);
}
