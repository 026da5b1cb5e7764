// acknowledge.ts: the protocol of `ack-replicas`: one WAIT after a batch, and its reply. Pure.
// WAIT counts the replicas that have acknowledged all earlier writes of this connection. The count alone guarantees
// nothing: the write is safe because the monitors promote a replica only if enough replicas are visible to include one
// that holds it.
// https://redis.io/docs/latest/commands/wait/
import { decodeReply } from "../../resp/decode.ts";
import { encodeCommand, errorReply } from "../../resp/encode.ts";
import { numberOf } from "../../resp/value.ts";

export function waitCommand(replicas: number, timeoutMs: number): Buffer {
  return encodeCommand(["WAIT", String(replicas), String(timeoutMs)]);
}

/** The number in a WAIT's reply. A node that refuses WAIT is no longer master: 0. */
export function replicasHolding(reply: Buffer): number {
  return numberOf(decodeReply(reply)) ?? 0;
}

/** The master has executed the write, and may be the only node that has it. */
export function underreplicated(count: number, wanted: number): Buffer {
  return errorReply(`UNDERREPLICATED held by ${count} of ${wanted}`);
}
