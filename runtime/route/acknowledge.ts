// acknowledge.ts: what `ack-replicas` says on the wire: one WAIT behind a batch, and its answer. Pure.
// WAIT counts the replicas that have confirmed all that this connection had written when it was sent. The count is a
// fact about the master's replicas, not a promise: it becomes one because the monitors promote no replica unless enough
// of them can be seen to include one that holds the write.
// https://redis.io/docs/latest/commands/wait/
import { decodeReply } from "../resp/decode.ts";
import { encodeCommand, errorReply } from "../resp/encode.ts";
import { numberOf } from "../resp/value.ts";

export function waitCommand(replicas: number, timeoutMs: number): Buffer {
  return encodeCommand(["WAIT", String(replicas), String(timeoutMs)]);
}

/** The number in a WAIT's reply. A node that refuses it, being no master any more, has no replica that holds anything. */
export function replicasHolding(reply: Buffer): number {
  return numberOf(decodeReply(reply)) ?? 0;
}

/** The master has the write, and may be the only one. */
export function underreplicated(count: number, wanted: number): Buffer {
  return errorReply(`UNDERREPLICATED held by ${count} of ${wanted}`);
}
