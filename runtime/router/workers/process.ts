// process.ts: a worker's side of the talk with its parent (messages.ts).
import type { RouterSnapshot } from "../stats/snapshot.ts";
import { isFromParent, type FromWorker } from "./messages.ts";

/** The channel to the parent, as node:process gives it to a forked process. */
export interface ParentChannel {
  on(event: "message", listener: (message: unknown) => void): unknown;
  send?(message: FromWorker): boolean;
  readonly channel?: { unref(): void } | null | undefined;
}

/** Each process counts its clients from here on, so that CLIENT ID is one client's alone in the whole router. */
const CLIENT_IDS_PER_WORKER = 2 ** 32;

/** `workerId` counts from 1, and a worker in a dead one's place has another. */
export function clientIdsFrom(workerId: number): number {
  return workerId * CLIENT_IDS_PER_WORKER;
}

/** Tells the parent that this worker listens, and then what it has counted whenever it asks. */
export function answerParent(parent: ParentChannel, snapshot: () => RouterSnapshot): void {
  parent.on("message", (message) => {
    if (!isFromParent(message)) return;
    parent.send?.({ kind: "figures", question: message.question, snapshot: snapshot() });
  });
  parent.send?.({ kind: "listening" });
}

/** Lets the process end although its parent still listens. */
export function leaveParent(parent: ParentChannel): void {
  parent.channel?.unref();
}
