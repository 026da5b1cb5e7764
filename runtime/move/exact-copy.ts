// exact-copy.ts: the values of some keys together with the offset at which they are true.
//
//   MULTI  DUMP k ...  PEXPIRETIME k ...  ROLE  EXEC      all at one moment of the node: ROLE tells which
//
// On a replica ROLE has the offset in its fifth field, on a master in its second. Before 7.0 there is no PEXPIRETIME: PTTL
// and the node's TIME tell the same to a millisecond.
import { NodeError } from "../replication/node-error.ts";
import type { NodeSocket } from "../replication/node-socket.ts";
import { itemsOf, numberOf, textOf, type RespValue } from "../resp/value.ts";

export interface CopiedKey {
  readonly key: Buffer;
  /** As DUMP gives it; undefined: there is no such key. */
  readonly dump: Buffer | undefined;
  /** Unix time in milliseconds; undefined: it never expires. */
  readonly expireAtMs: number | undefined;
}

export interface ExactCopy {
  readonly keys: readonly CopiedKey[];
  /** Of the node's history: what came up to there is in the values, what comes later is not. */
  readonly offset: number;
}

/** `hasExpireTime`: the node knows PEXPIRETIME. Throws NodeError; the connection is not to be used any more then. */
export async function copyExactly(
  socket: NodeSocket,
  keys: readonly Buffer[],
  hasExpireTime: boolean,
): Promise<ExactCopy> {
  const queued = [
    socket.call("MULTI"),
    ...keys.map((key) => socket.call("DUMP", key)),
    ...keys.map((key) => socket.call(hasExpireTime ? "PEXPIRETIME" : "PTTL", key)),
    socket.call("TIME"),
    socket.call("ROLE"),
  ];
  const executed = socket.call("EXEC");
  // All are awaited: one refusal must leave no other unheard.
  const [answers, exec] = await Promise.all([Promise.allSettled(queued), settled(executed)]);
  const refused = answers.find((answer) => answer.status === "rejected");
  if (refused !== undefined) throw refused.reason;
  if (exec instanceof Error) throw exec;
  const items = itemsOf(exec);
  const offset = offsetOf(items.at(-1));
  if (items.length !== keys.length * 2 + 2 || offset === undefined) {
    throw new NodeError("protocol", "the node answers a copy with something else");
  }
  const nowMs = hasExpireTime ? 0 : timeMs(items.at(-2));
  return {
    offset,
    keys: keys.map((key, index) => {
      const value = items[index];
      const expiry = numberOf(items[keys.length + index]) ?? -1;
      return {
        key,
        dump: value?.type === "bulk" ? value.bytes : undefined,
        expireAtMs: expiry < 0 ? undefined : nowMs + expiry,
      };
    }),
  };
}

function settled(reply: Promise<RespValue>): Promise<RespValue | Error> {
  return reply.catch((error: unknown) =>
    error instanceof Error ? error : new Error(String(error)),
  );
}

function offsetOf(role: RespValue | undefined): number | undefined {
  const fields = itemsOf(role);
  return numberOf(fields[textOf(fields[0]) === "master" ? 1 : 4]);
}

function timeMs(time: RespValue | undefined): number {
  const [seconds, micros] = itemsOf(time).map((part) => Number(textOf(part)));
  return (seconds ?? 0) * 1000 + Math.floor((micros ?? 0) / 1000);
}
