// overtaken.ts: finds the reads without a reply that must not be repeated. Pure.
//
//   one client's requests on the wire:   GET f   SET f 2   GET g   SET f 3   GET f      the connection breaks
//                                          |                 |                 |
//                               must not be repeated       may be          may be: no write follows it
//
// SET f 2 may have been executed, so a repeated GET f could return 2, which its client wrote later. (With retry-unknown
// idempotent it is repeated anyway: that setting prefers it to an error.) Other clients' writes don't matter: their order
// relative to a read without a reply is not defined.
import { isWord } from "../commands/keys.ts";

/** A request that was on the wire. */
export interface Sent {
  readonly isRead: boolean;
}

/** The reply to a read that is not repeated. The reason follows. */
export const OVERTAKEN =
  "a later write of the same connection may have been executed, which a repeated read would show";

/** The reads of `run` that are followed by a write of the same owner to one of their keys. `run` is in the order of
    sending. `keysOf` returns undefined if any key may be concerned. */
export function overtakenReads<T extends Sent>(
  run: readonly T[],
  ownerOf: (request: T) => object,
  keysOf: (request: T) => readonly string[] | undefined,
): ReadonlySet<T> {
  const overtaken = new Set<T>();
  // By owner: the keys that later requests write, or "any".
  const behind = new Map<object, Set<string> | "any">();
  for (const request of run.toReversed()) {
    const owner = ownerOf(request);
    const written = behind.get(owner);
    if (request.isRead) {
      if (written !== undefined && meets(keysOf(request), written)) overtaken.add(request);
    } else if (written !== "any") {
      const keys = keysOf(request);
      if (keys === undefined) behind.set(owner, "any");
      else if (written === undefined) behind.set(owner, new Set(keys));
      else for (const key of keys) written.add(key);
    }
  }
  return overtaken;
}

/** The keys of buffered writes, by owner. */
export class WaitingWrites {
  readonly #keys = new Map<object, Set<string> | "any">();

  /** `keys` as returned by plainKeys(). */
  add(owner: object, keys: readonly string[] | undefined): void {
    const before = this.#keys.get(owner);
    if (keys === undefined || before === "any") this.#keys.set(owner, "any");
    else if (before === undefined) this.#keys.set(owner, new Set(keys));
    else for (const key of keys) before.add(key);
  }

  /** Whether a read of that owner would overtake its own write. */
  concern(owner: object, keysOf: () => readonly string[] | undefined): boolean {
    const waiting = this.#keys.get(owner);
    return waiting !== undefined && meets(keysOf(), waiting);
  }
}

function meets(keys: readonly string[] | undefined, written: ReadonlySet<string> | "any"): boolean {
  if (keys === undefined) return true;
  return written === "any" ? keys.length > 0 : keys.some((key) => written.has(key));
}

/** Commands whose only key is their first argument. A missing command counts as concerning any key, so a newer one is
    safe. */
const FIRST: ReadonlySet<string> = new Set(
  (
    "get set setex psetex setnx getset getdel getex append strlen incr decr incrby decrby " +
    "incrbyfloat getrange setrange getbit setbit bitcount bitpos ttl pttl expiretime type expire " +
    "pexpire expireat pexpireat persist dump hget hmget hgetall hlen hexists hkeys hvals hstrlen " +
    "hset hsetnx hmset hdel hincrby hincrbyfloat lpush rpush lpushx rpushx lpop rpop llen lrange " +
    "lindex lset lrem ltrim linsert lpos sadd srem scard smembers sismember smismember spop " +
    "srandmember zadd zrem zscore zmscore zcard zrank zrevrank zcount zrange zrevrange " +
    "zrangebyscore zrevrangebyscore zincrby zpopmin zpopmax xadd xlen xrange xrevrange xdel xack"
  ).split(" "),
);
/** Commands with a key in every argument, or in every second one (MSET). */
const EVERY: ReadonlyMap<string, 1 | 2> = new Map([
  ["mget", 1],
  ["exists", 1],
  ["touch", 1],
  ["del", 1],
  ["unlink", 1],
  ["mset", 2],
]);

/** The keys of a command as latin1 text; undefined if its name does not determine them. */
export function plainKeys(args: readonly Buffer[]): readonly string[] | undefined {
  const [name, first] = args;
  if (name === undefined || first === undefined) return undefined;
  const word = name.toString("latin1", 0, 32).toLowerCase();
  if (FIRST.has(word)) return [first.toString("latin1")];
  const step = EVERY.get(word);
  if (step !== undefined) {
    return args.flatMap((arg, at) =>
      at % step === 1 % step && at > 0 ? arg.toString("latin1") : [],
    );
  }
  // The router sends COMMAND to find the keys of a command. Its reply does not depend on any value.
  return isWord(name, "command") ? [] : undefined;
}
