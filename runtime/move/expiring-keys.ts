// expiring-keys.ts: which commands of a feed need their key to be there still, though its time may be over. Pure.
//
// A source deletes an expired key by a DEL in its feed. A target is a master too and deletes the key by its own clock, maybe
// before it has executed what the source executed in time: EXPIRE and PERSIST would then find nothing, and INCR would begin
// with a new value. So the target is asked first (CHECK), and where the key is gone, or will be soon, it is copied anew.
// Keys with an expiry are kept in a Bloom filter: a key too many costs a question, and memory does not grow with the data.
import type { Words } from "./target.ts";

const BITS = 2 ** 27;
const PROBES = 3;

export class ExpiringKeys {
  /** Absent until there is a first key. */
  #bits: Uint8Array | undefined;

  add(key: Buffer): void {
    const bits = (this.#bits ??= new Uint8Array(BITS / 8));
    for (const at of placesOf(key)) bits[at >>> 3] = (bits[at >>> 3] ?? 0) | (1 << (at & 7));
  }

  /** May be true for a key that was never added. */
  has(key: Buffer): boolean {
    const bits = this.#bits;
    return (
      bits !== undefined &&
      placesOf(key).every((at) => ((bits[at >>> 3] ?? 0) & (1 << (at & 7))) !== 0)
    );
  }
}

/** Two hashes (FNV-1a with two starts) give all places. */
function placesOf(key: Buffer): number[] {
  let first = 0x811c9dc5;
  let second = 0x9747b28c;
  for (const byte of key) {
    first = Math.imul(first ^ byte, 0x01000193);
    second = Math.imul(second ^ byte, 0x85ebca6b);
  }
  second |= 1;
  return Array.from(
    { length: PROBES },
    (_, index) => (first + Math.imul(second, index)) & (BITS - 1),
  );
}

/** A key that expires within this time may do so before the command behind the question. */
const SOON_MS = 2000;
const SCRIPT = `local t=redis.call('PTTL',KEYS[1]) if t==-2 or t>=0 and t<${SOON_MS} then return redis.error_reply('EXPIRED it is to be copied anew') end`;

/** A question to the target that it answers with an error where the key is to be copied anew. */
export function expiryCheck(key: Buffer): Words {
  return ["EVAL", SCRIPT, "1", key];
}

const SETTERS = new Set(["EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT", "GETEX"]);
const OVERWRITING_SETTERS = new Set(["SETEX", "PSETEX"]);
/** They give the value and the expiry of one key to another. */
const CARRIERS = new Set(["RENAME", "RENAMENX", "COPY"]);
const OVERWRITING = new Set(["DEL", "UNLINK", "GETDEL", "MSET", "MSETNX"]);
const SET_EXPIRY = /^(?:EX|PX|EXAT|PXAT)$/i;

/** Adds what the command, which is sent to a target now, gives an expiry; the keys whose presence is to be checked before. */
export function doubtfulKeys(
  args: readonly Buffer[],
  keys: readonly Buffer[],
  expiring: ExpiringKeys,
): readonly Buffer[] {
  const name = (args[0]?.toString("latin1") ?? "").toUpperCase();
  const doubtful = isOverwriting(name, args) ? [] : keys.filter((key) => expiring.has(key));
  const isGiven = CARRIERS.has(name) ? doubtful.length > 0 : setsExpiry(name, args);
  if (isGiven) for (const key of keys) expiring.add(key);
  return doubtful;
}

function isOverwriting(name: string, args: readonly Buffer[]): boolean {
  if (name === "SET") return !hasWord(args, /^KEEPTTL$/i);
  return OVERWRITING.has(name) || OVERWRITING_SETTERS.has(name) || name === "RESTORE";
}

function setsExpiry(name: string, args: readonly Buffer[]): boolean {
  if (name === "SET") return hasWord(args, SET_EXPIRY);
  if (name === "RESTORE") return args[2]?.toString("latin1") !== "0";
  return SETTERS.has(name) || OVERWRITING_SETTERS.has(name);
}

/** Among the options behind key and value. */
function hasWord(args: readonly Buffer[], word: RegExp): boolean {
  return args.slice(3).some((arg) => arg.length <= 8 && word.test(arg.toString("latin1")));
}
