// repeatable.ts: the writes that may be sent again when it is unknown whether they were executed. Pure, a table.
//
//   sent, connection broke, no reply:   a b c executed once or not at all   --repeat-->   a b c, perhaps twice
//
// All requests on the wire are repeated in order and before newer ones. So this must hold: executing a run of these
// writes twice leaves the same data as executing it once. Hence no write here depends on other keys, on the old value, on
// a position in a list or on a condition, because a later write of the same run may have changed those.
//
// These differences remain: If another client writes the same key between the two executions, the second one overwrites
// that write. An EXPIREAT without effect on a missing key takes effect if a later write of the run created the key. A
// count in the reply (DEL, SADD, HSET) is that of the second execution.
import { isWord } from "./keys.ts";

/** Why a second execution changes nothing. */
interface Idempotent {
  readonly reason: string;
  /** Options, from this argument on, with which it does. */
  readonly unless?: undefined | { readonly from: number; readonly words: readonly string[] };
}

const sets: Idempotent = { reason: "the value is the one that the command carries" };
const removes: Idempotent = { reason: "what is gone stays gone" };
const joins: Idempotent = { reason: "a member is in a set once" };
const fields: Idempotent = { reason: "each field has the value that the command carries" };
const conditions = (from: number, ...more: readonly string[]): Idempotent["unless"] => ({
  from,
  words: ["nx", "xx", "gt", "lt", ...more],
});
const moment: Idempotent = {
  reason: "the key expires at the moment that the command carries",
  unless: conditions(3),
};

/** By lower-case name. Missing on purpose: EXPIRE (another time, perhaps of another value), RENAME, the STORE commands
    and COPY (from keys that a later command may have changed), LSET and LTRIM (by position), SETNX, GETSET, SPOP, pushes,
    pops, increments, APPEND, streams, scripts. */
export const IDEMPOTENT: ReadonlyMap<string, Idempotent> = new Map<string, Idempotent>([
  // GET returns the old value, which is the command's own value the second time.
  ["set", { ...sets, unless: conditions(3, "get", "ifeq", "ifne", "ifdeq", "ifdne") }],
  // The expiry counts from the second execution: it is later by the time that the router had no reply.
  ["setex", sets],
  ["psetex", sets],
  ["mset", sets],
  ["setrange", { reason: "the same bytes stand in the same place" }],
  ["setbit", { reason: "the bit has the value that the command carries" }],
  ["del", removes],
  ["unlink", removes],
  ["hdel", removes],
  ["srem", removes],
  ["zrem", removes],
  ["xdel", removes],
  ["zremrangebyscore", removes],
  ["flushdb", removes],
  ["persist", { reason: "a key without expiry stays without" }],
  ["sadd", joins],
  ["pfadd", { reason: "an element is counted once" }],
  ["hset", fields],
  ["hmset", fields],
  ["zadd", { reason: "a member has one score", unless: conditions(2, "incr") }],
  ["geoadd", { reason: "a member has one place", unless: conditions(2) }],
  ["expireat", moment],
  ["pexpireat", moment],
  ["xack", { reason: "what is acknowledged stays so" }],
]);

/** Whether a write with these arguments may be sent twice. `args` has at least the name. */
export function isIdempotent(args: readonly Buffer[]): boolean {
  const entry = IDEMPOTENT.get(args[0]?.toString("latin1").toLowerCase() ?? "");
  if (entry === undefined) return false;
  const { unless } = entry;
  if (unless === undefined) return true;
  return !args.slice(unless.from).some((arg) => unless.words.some((word) => isWord(arg, word)));
}
