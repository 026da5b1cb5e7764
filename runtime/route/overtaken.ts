// overtaken.ts: which reads of a run that got no replies must not be read again. Pure.
//
//   on the wire, one client's:   GET f   SET f 2   GET g   SET f 3   GET f      the connection breaks
//                                  |                 |                 |
//                         must not be repeated    may be            may be: nothing stands behind it
//
// SET f 2 may have been executed, so a repeated GET f could answer 2: what its own client asked for later. (With
// retry-unknown idempotent it is repeated all the same: whoever asks for that prefers it to an error.) Other
// clients' writes don't matter: none of them was promised an order with a read that has no reply yet.
import { isWord } from "./keys.ts";

/** A request that was on the wire. */
export interface Sent {
  readonly isRead: boolean;
}

/** What a read gets in place of being repeated; it stands before the reason. */
export const OVERTAKEN =
  "a later write of the same connection may have been executed, which a repeated read would show";

/** The reads of `run`, which is in the order of sending, behind which the same owner has a write of one of their keys.
    `keysOf` gives undefined when any key may be concerned. */
export function overtakenReads<T extends Sent>(
  run: readonly T[],
  ownerOf: (request: T) => object,
  keysOf: (request: T) => readonly string[] | undefined,
): ReadonlySet<T> {
  const overtaken = new Set<T>();
  // By owner: the keys that were written further back, or "any".
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

function meets(keys: readonly string[] | undefined, written: ReadonlySet<string> | "any"): boolean {
  if (keys === undefined) return true;
  return written === "any" ? keys.length > 0 : keys.some((key) => written.has(key));
}

/** The commands whose only key is their first argument, whatever follows. What is missing here counts as concerning any
    key, so a newer command is safe. */
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
/** With a key in every argument, or for MSET in every second. */
const EVERY: ReadonlyMap<string, 1 | 2> = new Map([
  ["mget", 1],
  ["exists", 1],
  ["touch", 1],
  ["del", 1],
  ["unlink", 1],
  ["mset", 2],
]);

/** The keys that a command names, as latin1 text; undefined when they aren't told by its name alone. */
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
  // Where the keys of a command stand, which the router asks a node, depends on no value.
  return isWord(name, "command") ? [] : undefined;
}
