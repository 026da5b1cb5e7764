// process.ts: a worker's side of the messages with its parent (messages.ts).
import type { RouterSnapshot } from "../../engine/stats/snapshot.ts";
import { isFromParent, type FromWorker } from "./messages.ts";

/** The channel to the parent, as node:process has it in a forked process. */
export interface ParentChannel {
  on(event: "message", listener: (message: unknown) => void): unknown;
  send?(message: FromWorker): boolean;
  readonly channel?: { unref(): void } | null | undefined;
}

/** The range of client ids of each worker, so that a CLIENT ID is unique in the whole router. */
const CLIENT_IDS_PER_WORKER = 2 ** 32;

/** `workerId` counts from 1. The replacement of a dead worker has a new one. */
export function clientIdsFrom(workerId: number): number {
  return workerId * CLIENT_IDS_PER_WORKER;
}

/** Reports to the parent that this worker listens, and then sends its counters at each request. */
export function answerParent(parent: ParentChannel, snapshot: () => RouterSnapshot): void {
  parent.on("message", (message) => {
    if (!isFromParent(message)) return;
    parent.send?.({ kind: "figures", question: message.question, snapshot: snapshot() });
  });
  parent.send?.({ kind: "listening" });
}

/** Lets the process exit although the channel to its parent is open. */
export function releaseParent(parent: ParentChannel): void {
  parent.channel?.unref();
}
