// dispatch.ts: sends one client's command to the pipelines that it needs, and returns one reply.
import { encodeCommand, errorReply } from "../../resp/encode.ts";
import { elementsOf } from "../../resp/reply-scanner.ts";
import { decodeReply } from "../../resp/decode.ts";
import { decide, type Decision } from "../../route/decide.ts";
import { gatherReplies, infoReply } from "../../route/replies/gather.ts";
import { routerSection } from "../../route/replies/router-section.ts";
import { parseKeyCursor, printKeyCursor } from "../../route/replies/scan-cursor.ts";
import { withoutSecrets } from "../../route/session/settings.ts";
import { isError, mergeReplies, splitCommand } from "../../route/replies/split.ts";
import { crossSlot, keylessScriptReply } from "../../route/replies/wire-errors.ts";
import { masterNode } from "../pipelines/pipeline-context.ts";
import {
  anyPartition,
  collector,
  submit,
  type DispatchContext,
  type PendingCommand,
} from "./pending-command.ts";
import { scan, scanAll, type Restart } from "./scan.ts";
import { errorText } from "../../core/error-text.ts";

/** Dispatches the command. Returns undefined if everything was given to the pipelines at once; otherwise a promise that
    resolves then. The client's next command must wait for it. */
export function dispatch(
  pending: PendingCommand,
  context: DispatchContext,
): Promise<void> | undefined {
  // Checked first: no node of another cluster's view is asked, so a mismatch is also why the table is missing.
  const { mismatch, routing } = context.routed;
  if (mismatch !== undefined) {
    pending.done(errorReply(`TWINEDOWN nothing is routed: ${mismatch}`));
    return undefined;
  }
  const { table } = context.commands;
  if (table === undefined) {
    pending.done(errorReply("TWINEDOWN no data node has reported its commands yet"));
    return undefined;
  }
  const { args } = pending.request;
  const { partitions, hashTag } = routing;
  const decision = decide(args, { table, partitions, hashTag });
  const { turn } = pending;
  const isByKeys = decision.kind === "forward" || decision.kind === "split";
  // Before the earlier commands were sent, only the hashing of keys may begin.
  if (turn !== undefined && !isByKeys) {
    return turn.then(() => dispatch({ ...pending, turn: undefined }, context));
  }
  switch (decision.kind) {
    case "reply":
      pending.done(decision.reply);
      return undefined;
    case "session":
    case "own":
    case "blocking":
      pending.done(errorReply("ERR twine: the client's own connection answers this"));
      return undefined;
    case "any":
      any(pending, context, decision);
      return undefined;
    case "router-info":
      pending.done(infoReply(sectionOf(context), pending.protocol));
      return undefined;
    case "ask-keys":
      return askKeys(pending, context, decision.isRead);
    case "gather":
      gather(pending, context, decision);
      return undefined;
    case "scan":
      scanAll(pending, context, args[1]?.toString("latin1") ?? "", restartBy(context));
      return undefined;
    case "forward":
    case "split":
      return byKeys(pending, context, decision);
  }
}

function any(
  pending: PendingCommand,
  context: DispatchContext,
  decision: Extract<Decision, { kind: "any" }>,
): void {
  const { isRead, isMasters, hasSecrets } = decision;
  const command = decision.command ?? pending.request.raw;
  const partition = anyPartition(context);
  submit(pending, context, { partition, isRead, isMasters, command }, (reply) => {
    // Only scripts without keys are sent as a different command.
    const shown = decision.command === undefined ? reply : keylessScriptReply(reply);
    pending.done(hasSecrets === true ? withoutSecrets(shown) : shown);
  });
}

type ByKeys = Extract<Decision, { kind: "forward" | "split" }>;
type Place = (partitions: readonly number[]) => void;

function byKeys(
  pending: PendingCommand,
  context: DispatchContext,
  decision: ByKeys,
): Promise<void> | undefined {
  const { args } = pending.request;
  const indices = decision.kind === "forward" ? decision.keys : keysOfSplit(args, decision.keyStep);
  const keys = indices.map((index) => args[index] ?? NOTHING);
  return withPartitions(pending, context, keys, (partitions) => {
    if (decision.kind === "forward") forward(pending, context, decision, keys, partitions);
    else split(pending, context, decision, partitions);
  });
}

/** Hashes the keys and calls `place`. A user's hash may be asynchronous: if the routing has changed meanwhile, the keys
    are hashed again. */
function withPartitions(
  pending: PendingCommand,
  context: DispatchContext,
  keys: readonly Buffer[],
  place: Place,
): Promise<void> | undefined {
  const { routing } = context.routed;
  const partitions: number[] = [];
  const later: Promise<void>[] = [];
  const fail = (error: unknown): void => {
    const why = errorText(error);
    pending.done(errorReply(`ERR twine: the hash of twine.conf failed: ${why}`));
  };
  try {
    keys.forEach((key, at) => {
      const partition = routing.partitionOf(key);
      if (typeof partition === "number") partitions[at] = partition;
      else later.push(partition.then((number) => void (partitions[at] = number)));
    });
  } catch (error) {
    fail(error);
    // Earlier promises may reject too; the client has its reply already.
    return later.length === 0 ? undefined : Promise.allSettled(later).then(() => undefined);
  }
  if (later.length === 0 && pending.turn === undefined) {
    place(partitions);
    return undefined;
  }
  const placed = async (): Promise<void> => {
    await pending.turn;
    if (routing === context.routed.routing) place(partitions);
    else await withPartitions({ ...pending, turn: undefined }, context, keys, place);
  };
  return Promise.all(later).then(placed, fail);
}

export function keysOfSplit(args: readonly Buffer[], keyStep: number): number[] {
  const keys: number[] = [];
  for (let index = 1; index < args.length; index += keyStep) keys.push(index);
  return keys;
}

type Forward = Omit<Extract<Decision, { kind: "forward" }>, "kind" | "keys">;

function forward(
  pending: PendingCommand,
  context: DispatchContext,
  { isRead, isMasters, cursorAt }: Forward,
  keys: readonly Buffer[],
  partitions: readonly number[],
): void {
  const { args, raw } = pending.request;
  const partition = partitions[0] ?? 0;
  const crossing = partitions.findIndex((one) => one !== partition);
  if (crossing !== -1) {
    const [key, other] = [keys[0] ?? NOTHING, keys[crossing] ?? NOTHING];
    pending.done(crossSlot(key, partition, other, partitions[crossing] ?? 0));
    return;
  }
  if (cursorAt === undefined) {
    submit(pending, context, { partition, isRead, isMasters, command: raw });
    return;
  }
  const cursor = parseKeyCursor(args[cursorAt]?.toString("latin1") ?? "");
  // Redis has an error for an invalid cursor.
  if (cursor === undefined)
    submit(pending, context, { partition, isRead, isMasters, command: raw });
  else
    scan(pending, context, cursorAt, { ...cursor, partition }, printKeyCursor, restartBy(context));
}

function split(
  pending: PendingCommand,
  context: DispatchContext,
  decision: Extract<Decision, { kind: "split" }>,
  partitions: readonly number[],
): void {
  const { args, raw } = pending.request;
  const { isRead } = decision;
  const [partition = 0] = partitions;
  if (partitions.every((one) => one === partition)) {
    submit(pending, context, { partition, isRead, command: raw });
    return;
  }
  const parts = splitCommand(args, decision, partitions);
  context.stats.fragments += parts.length;
  const collect = collector(parts.length, (replies) => {
    pending.done(mergeReplies(args, decision, parts, replies));
  });
  parts.forEach((part, index) => {
    const { partition: to, command } = part;
    submit(pending, context, { partition: to, isRead, command }, collect(index));
  });
}

/** Asks a server for the keys of a command that only it can parse. The client's next command waits. */
function askKeys(
  pending: PendingCommand,
  context: DispatchContext,
  isRead: boolean,
): Promise<void> {
  const { args } = pending.request;
  const command = encodeCommand(["COMMAND", "GETKEYS", ...args]);
  const partition = anyPartition(context);
  return new Promise((resolve) => {
    submit(pending, context, { partition, isRead: true, command }, (reply) => {
      const keys = elementsOf(reply)?.map(bytesOf) ?? [];
      if (keys.length === 0) {
        pending.done(
          isError(reply) ? reply : errorReply("ERR twine: the server found no key in it"),
        );
        resolve();
        return;
      }
      const placing = withPartitions(pending, context, keys, (partitions) => {
        forward(pending, context, { isRead }, keys, partitions);
      });
      resolve(placing);
    });
  });
}

function bytesOf(raw: Buffer): Buffer {
  const value = decodeReply(raw);
  return value.type === "bulk" ? value.bytes : NOTHING;
}

function gather(
  pending: PendingCommand,
  context: DispatchContext,
  decision: Extract<Decision, { kind: "gather" }>,
): void {
  const { view, routing } = context.routed;
  const { partitions } = routing;
  const { isRead, command } = decision;
  const withSizes = decision.gather === "randomkey";
  const { args } = pending.request;
  const gatherContext = {
    name: args[0]?.toString("latin1") ?? "",
    random: context.random.next(),
    dbs: Array.from({ length: partitions }, (_, index) => masterNode(view, index)?.db ?? 0),
    args,
    routerSection: decision.withRouter === true ? sectionOf(context) : undefined,
  };
  const collect = collector(withSizes ? partitions * 2 : partitions, (replies) => {
    if (routing !== context.routed.routing) {
      gatherAgain(pending, context, decision);
      return;
    }
    const [firsts, sizes] = [replies.slice(0, partitions), replies.slice(partitions)];
    pending.done(gatherReplies(decision.gather, firsts, gatherContext, sizes));
  });
  for (let partition = 0; partition < partitions; partition++) {
    submit(pending, context, { partition, isRead, command }, collect(partition));
    if (!withSizes) continue;
    const size = { partition, isRead: true, command: DBSIZE };
    submit(pending, context, size, collect(partitions + partition));
  }
}

/** Called after the partitions have changed. A read is gathered again; a write gets UNCERTAIN, because it may have been
    executed in some. */
function gatherAgain(
  pending: PendingCommand,
  context: DispatchContext,
  decision: Extract<Decision, { kind: "gather" }>,
): void {
  if (pending.from.isGone) return;
  if (decision.isRead) gather(pending, context, decision);
  else {
    const name = pending.request.args[0]?.toString("latin1", 0, 32).toUpperCase() ?? "";
    const why = `the number of partitions changed while ${name} was on its way; send it again`;
    pending.done(errorReply(`UNCERTAIN ${why}`));
  }
}

const NOTHING = Buffer.alloc(0);
const DBSIZE = encodeCommand(["DBSIZE"]);

function sectionOf({ routed, clients }: DispatchContext): string {
  return routerSection({
    view: routed.view,
    isConfirmed: routed.isConfirmed(),
    mismatch: routed.mismatch,
    partitions: routed.routing.partitions,
    clientCount: clients?.size ?? 0,
  });
}

function restartBy(context: DispatchContext): Restart {
  return (pending) => {
    void dispatch(pending, context);
  };
}
