// dispatch.ts: one command of one client to the lanes it needs, and its one reply back.
import type { Partitioner } from "../../ports/partitioner.ts";
import type { Random } from "../../ports/random.ts";
import { bulk, encodeCommand, errorReply, type Protocol } from "../../resp/encode.ts";
import { elementsOf } from "../../resp/reply-scanner.ts";
import { decodeReply } from "../../resp/decode.ts";
import { textOf } from "../../resp/value.ts";
import type { Request } from "../../resp/request-splitter.ts";
import { decide, type Decision } from "../../route/decide.ts";
import { gatherReplies, infoReply } from "../../route/gather.ts";
import { routerSection } from "../../route/router-section.ts";
import {
  cursorAfter,
  parseCursor,
  parseKeyCursor,
  printKeyCursor,
  tagOf,
  type ScanPosition,
} from "../../route/scan-cursor.ts";
import type { ClientFacts } from "../../route/session-state.ts";
import { withoutSecrets } from "../../route/settings.ts";
import { isError, mergeReplies, splitCommand } from "../../route/split.ts";
import { crossSlot } from "../../route/wire-errors.ts";
import type { CommandSource } from "./command-source.ts";
import type { GuardedView } from "../../register/guarded-view.ts";
import { KeptReply, type Requester } from "../lanes/reply-sink.ts";
import type { Lanes } from "../lanes/lanes.ts";
import type { RouterStats } from "../stats/counters.ts";
import { masterNode } from "../lanes/lane-context.ts";

export interface DispatchContext {
  readonly partitions: number;
  readonly partitioner: Partitioner;
  readonly viewSource: GuardedView;
  readonly commands: CommandSource;
  readonly random: Random;
  readonly lanes: Lanes;
  /** The two characters of twine.conf's hash-tag. */
  readonly hashTag?: string | undefined;
  /** Clients of this process. */
  readonly clients?: ReadonlySet<{ readonly facts: ClientFacts }>;
  readonly stats: RouterStats;
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
  const { args } = errand.request;
  const decision = decide(args, {
    table,
    partitions: context.partitions,
    hashTag: context.hashTag,
  });
  switch (decision.kind) {
    case "reply":
      errand.done(decision.reply);
      return undefined;
    case "session":
    case "own":
    case "blocking":
      errand.done(errorReply("ERR twine: the client's own connection answers this"));
      return undefined;
    case "any":
      any(errand, context, decision);
      return undefined;
    case "router-info":
      errand.done(infoReply(sectionOf(context), errand.protocol));
      return undefined;
    case "ask-keys":
      return askKeys(errand, context, decision.isRead);
    case "gather":
      gather(errand, context, decision);
      return undefined;
    case "scan":
      scanAll(errand, context, args[1]?.toString("latin1") ?? "");
      return undefined;
    case "forward":
    case "split":
      return byKeys(errand, context, decision);
  }
}

interface Submission {
  readonly partition: number;
  readonly isRead: boolean;
  readonly command: Buffer;
  /** Only the master can answer it, though it only reads. */
  readonly isMasters?: boolean | undefined;
}

function submit(
  errand: Errand,
  context: DispatchContext,
  { partition, isRead, command, isMasters = false }: Submission,
  done: (reply: Buffer) => void = (reply) => {
    errand.done(reply);
  },
): void {
  const lane = context.lanes.of(partition, errand.protocol, isRead && !isMasters);
  lane.submit(new KeptReply(errand.from, done), 0, command, 0, command.length, isRead);
}

function any(
  errand: Errand,
  context: DispatchContext,
  decision: Extract<Decision, { kind: "any" }>,
): void {
  const { isRead, isMasters, hasSecrets } = decision;
  const command = decision.command ?? errand.request.raw;
  const partition = anyPartition(context);
  submit(errand, context, { partition, isRead, isMasters, command }, (reply) => {
    errand.done(hasSecrets === true ? withoutSecrets(reply) : reply);
  });
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
type Place = (partitions: readonly number[]) => void;

function byKeys(
  errand: Errand,
  context: DispatchContext,
  decision: ByKeys,
): Promise<void> | undefined {
  const { args } = errand.request;
  const indices = decision.kind === "forward" ? decision.keys : keysOfSplit(args, decision.keyStep);
  const keys = indices.map((index) => args[index] ?? NOTHING);
  return withPartitions(errand, context, keys, (partitions) => {
    if (decision.kind === "forward") forward(errand, context, decision, keys, partitions);
    else split(errand, context, decision, partitions);
  });
}

/** Hashes the keys and goes on. A hash of the user's own may answer later. */
function withPartitions(
  errand: Errand,
  context: DispatchContext,
  keys: readonly Buffer[],
  place: Place,
): Promise<void> | undefined {
  const partitions: number[] = [];
  const later: Promise<void>[] = [];
  const fail = (error: unknown): void => {
    const why = error instanceof Error ? error.message : String(error);
    errand.done(errorReply(`ERR twine: the hash of twine.conf failed: ${why}`));
  };
  try {
    keys.forEach((key, at) => {
      const partition = context.partitioner.partitionOf(key);
      if (typeof partition === "number") partitions[at] = partition;
      else later.push(partition.then((number) => void (partitions[at] = number)));
    });
  } catch (error) {
    fail(error);
    // Those that were asked before may fail as well; the client has its answer already.
    return later.length === 0 ? undefined : Promise.allSettled(later).then(() => undefined);
  }
  if (later.length === 0) {
    place(partitions);
    return undefined;
  }
  return Promise.all(later).then(() => {
    place(partitions);
  }, fail);
}

function keysOfSplit(args: readonly Buffer[], keyStep: number): number[] {
  const keys: number[] = [];
  for (let index = 1; index < args.length; index += keyStep) keys.push(index);
  return keys;
}

type Forward = Omit<Extract<Decision, { kind: "forward" }>, "kind" | "keys">;

function forward(
  errand: Errand,
  context: DispatchContext,
  { isRead, isMasters, cursorAt }: Forward,
  keys: readonly Buffer[],
  partitions: readonly number[],
): void {
  const { args, raw } = errand.request;
  const partition = partitions[0] ?? 0;
  const stray = partitions.findIndex((one) => one !== partition);
  if (stray !== -1) {
    const [key, other] = [keys[0] ?? NOTHING, keys[stray] ?? NOTHING];
    errand.done(crossSlot(key, partition, other, partitions[stray] ?? 0));
    return;
  }
  if (cursorAt === undefined) {
    submit(errand, context, { partition, isRead, isMasters, command: raw });
    return;
  }
  const cursor = parseKeyCursor(args[cursorAt]?.toString("latin1") ?? "");
  // Redis has an error for what is no cursor.
  if (cursor === undefined) submit(errand, context, { partition, isRead, isMasters, command: raw });
  else scan(errand, context, cursorAt, { ...cursor, partition }, printKeyCursor);
}

function split(
  errand: Errand,
  context: DispatchContext,
  decision: Extract<Decision, { kind: "split" }>,
  partitions: readonly number[],
): void {
  const { args, raw } = errand.request;
  const { isRead } = decision;
  const [partition = 0] = partitions;
  if (partitions.every((one) => one === partition)) {
    submit(errand, context, { partition, isRead, command: raw });
    return;
  }
  const parts = splitCommand(args, decision, partitions);
  context.stats.fragments += parts.length;
  const collect = collector(parts.length, (replies) => {
    errand.done(mergeReplies(args, decision, parts, replies));
  });
  parts.forEach((part, index) => {
    const { partition: to, command } = part;
    submit(errand, context, { partition: to, isRead, command }, collect(index));
  });
}

/** Where the keys of a command stand that only its server can read. The client's next command waits. */
function askKeys(errand: Errand, context: DispatchContext, isRead: boolean): Promise<void> {
  const { args } = errand.request;
  const command = encodeCommand(["COMMAND", "GETKEYS", ...args]);
  const partition = anyPartition(context);
  return new Promise((resolve) => {
    submit(errand, context, { partition, isRead: true, command }, (reply) => {
      const keys = elementsOf(reply)?.map(bytesOf) ?? [];
      if (keys.length === 0) {
        errand.done(
          isError(reply) ? reply : errorReply("ERR twine: the server found no key in it"),
        );
        resolve();
        return;
      }
      const placing = withPartitions(errand, context, keys, (partitions) => {
        forward(errand, context, { isRead }, keys, partitions);
      });
      resolve(placing);
    });
  });
}

function bytesOf(raw: Buffer): Buffer {
  const value = decodeReply(raw);
  return value.type === "bulk" ? value.bytes : NOTHING;
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
  const { isRead, command } = decision;
  const withSizes = decision.gather === "randomkey";
  const view = context.viewSource.current();
  const { args } = errand.request;
  const gatherContext = {
    name: args[0]?.toString("latin1") ?? "",
    random: context.random.next(),
    dbs: Array.from({ length: partitions }, (_, index) => masterNode(view, index)?.db ?? 0),
    args,
    routerSection: decision.withRouter === true ? sectionOf(context) : undefined,
  };
  const collect = collector(withSizes ? partitions * 2 : partitions, (replies) => {
    const [firsts, sizes] = [replies.slice(0, partitions), replies.slice(partitions)];
    errand.done(gatherReplies(decision.gather, firsts, gatherContext, sizes));
  });
  for (let partition = 0; partition < partitions; partition++) {
    submit(errand, context, { partition, isRead, command }, collect(partition));
    if (!withSizes) continue;
    const size = { partition, isRead: true, command: DBSIZE };
    submit(errand, context, size, collect(partitions + partition));
  }
}

const NOTHING = Buffer.alloc(0);
const DBSIZE = encodeCommand(["DBSIZE"]);

function sectionOf({ viewSource, partitions, clients }: DispatchContext): string {
  return routerSection({
    view: viewSource.current(),
    isConfirmed: viewSource.isConfirmed(),
    clash: viewSource.clash(),
    partitions,
    clientCount: clients?.size ?? 0,
  });
}

/** SCAN: one cursor over all partitions. */
function scanAll(errand: Errand, context: DispatchContext, cursor: string): void {
  const position = parseCursor(cursor, context.partitions);
  if (position === undefined) {
    errand.done(errorReply("ERR invalid cursor"));
    return;
  }
  scan(errand, context, 1, position, (next) => cursorAfter(next, context.partitions));
}

/** One step of a scan, whose cursor is the argument `cursorAt`. When the master changed since the cursor was given, or
    while the step was on its way, what is scanned is scanned from its beginning. */
function scan(
  errand: Errand,
  context: DispatchContext,
  cursorAt: number,
  position: ScanPosition,
  print: (next: ScanPosition) => string,
): void {
  const tag = masterTag(context, position.partition);
  const isKnown = position.nodeCursor === "0" || position.tag === tag;
  const from = { ...position, tag, nodeCursor: isKnown ? position.nodeCursor : "0" };
  const { args } = errand.request;
  const command = encodeCommand([
    ...args.slice(0, cursorAt),
    from.nodeCursor,
    ...args.slice(cursorAt + 1),
  ]);
  // A cursor means something only to the node that gave it: never a replica, whose place its master may have to take.
  const step = { partition: position.partition, isRead: true, isMasters: true, command };
  submit(errand, context, step, (reply) => {
    if (masterTag(context, position.partition) !== tag && !errand.from.isGone) {
      scan(errand, context, cursorAt, { ...from, nodeCursor: "0" }, print);
      return;
    }
    const [nodeCursor, elements] = elementsOf(reply) ?? [];
    if (nodeCursor === undefined || elements === undefined) {
      errand.done(reply);
      return;
    }
    const next = { ...from, nodeCursor: textOf(decodeReply(nodeCursor)) ?? "0" };
    const cursor = Buffer.from(print(next));
    errand.done(Buffer.concat([Buffer.from("*2\r\n"), bulk(cursor), elements]));
  });
}

function masterTag(context: DispatchContext, partition: number): number {
  const node = masterNode(context.viewSource.current(), partition);
  return node === undefined ? 0 : tagOf(`${node.name} ${node.runId ?? ""} ${node.since}`);
}
