// scan.ts: SCAN over all partitions, and the cursors of HSCAN, SSCAN and ZSCAN, which are valid only at their master.
import { bulk, encodeCommand, errorReply } from "../../resp/encode.ts";
import { decodeReply } from "../../resp/decode.ts";
import { elementsOf } from "../../resp/reply-scanner.ts";
import { textOf } from "../../resp/value.ts";
import {
  SCAN_START,
  cursorAfter,
  isOfOtherLayout,
  layoutTagOf,
  parseCursor,
  tagOf,
  type ScanPosition,
} from "../../route/replies/scan-cursor.ts";
import { masterNode } from "../pipelines/pipeline-context.ts";
import { submit, type DispatchContext, type PendingCommand } from "./pending-command.ts";

const ZERO = Buffer.from("0");

/** Dispatches a command as if it were new. */
export type Restart = (pending: PendingCommand) => void;

/** SCAN: one cursor over all partitions. */
export function scanAll(
  pending: PendingCommand,
  context: DispatchContext,
  cursor: string,
  restart: Restart,
): void {
  const { partitions } = context.routed.routing;
  const given = parseCursor(cursor, partitions);
  if (given === undefined) {
    pending.done(errorReply("ERR invalid cursor"));
    return;
  }
  const layout = layoutTagOf(context.routed.view?.resharded);
  const isOld = isOfOtherLayout(given, layout, masterTag(context, given.partition));
  const position = isOld ? SCAN_START : given;
  scan(pending, context, 1, position, (next) => cursorAfter(next, partitions, layout), restart);
}

/** One step of a scan whose cursor is the argument `cursorAt`. If the master has changed since the cursor was returned,
    or during the step, the partition or key is scanned from its beginning. */
export function scan(
  pending: PendingCommand,
  context: DispatchContext,
  cursorAt: number,
  position: ScanPosition,
  print: (next: ScanPosition) => string,
  restart: Restart,
): void {
  const { routing } = context.routed;
  const tag = masterTag(context, position.partition);
  const isKnown = position.nodeCursor === "0" || position.tag === tag;
  const from = { ...position, tag, nodeCursor: isKnown ? position.nodeCursor : "0" };
  const { args } = pending.request;
  const command = encodeCommand([
    ...args.slice(0, cursorAt),
    from.nodeCursor,
    ...args.slice(cursorAt + 1),
  ]);
  // A cursor is valid only at its node. So never use a replica, which its master may have to replace.
  const step = { partition: position.partition, isRead: true, isMasters: true, command };
  submit(pending, context, step, (reply) => {
    if (routing !== context.routed.routing && !pending.from.isGone) {
      // Keys may have moved to partitions that were scanned already: start again.
      const begun = [...args.slice(0, cursorAt), ZERO, ...args.slice(cursorAt + 1)];
      const request = { args: begun, raw: encodeCommand(begun) };
      restart({ ...pending, request, turn: undefined });
      return;
    }
    if (masterTag(context, position.partition) !== tag && !pending.from.isGone) {
      scan(pending, context, cursorAt, { ...from, nodeCursor: "0" }, print, restart);
      return;
    }
    const [nodeCursor, elements] = elementsOf(reply) ?? [];
    if (nodeCursor === undefined || elements === undefined) {
      pending.done(reply);
      return;
    }
    const next = { ...from, nodeCursor: textOf(decodeReply(nodeCursor)) ?? "0" };
    const cursor = Buffer.from(print(next));
    pending.done(Buffer.concat([Buffer.from("*2\r\n"), bulk(cursor), elements]));
  });
}

function masterTag(context: DispatchContext, partition: number): number {
  const node = masterNode(context.routed.view, partition);
  return node === undefined ? 0 : tagOf(`${node.name} ${node.runId ?? ""} ${node.since}`);
}
