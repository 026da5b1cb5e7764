// survey.ts: finds the keys of a twemproxy pool that lie on servers where they do not belong, by SCAN, before anything is copied.
import { TwineError } from "../../core/errors.ts";
import type { NodeSocket } from "../../replication/node-socket.ts";
import { itemsOf, numberOf, textOf } from "../../resp/value.ts";
import { openSource } from "../import/source-link.ts";
import {
  decideScattered,
  type ScatteredKey,
  type CopyRule,
  type Scattered,
} from "./scattered-keys.ts";
import type { SourceAccess, SourceSet } from "./source-set.ts";

/** Where no function places keys, each key of the pool is kept in memory. */
const KEYS_MAX = 20_000_000;
const SCATTERED_MAX = 1_000_000;
const WITHIN_MS = 60_000;
const COUNT = "1000";
const ASKED_AT_ONCE = 1000;

/** Throws NodeError, LOAD_DUPLICATES, LOAD_DUPLICATES_MANY. */
export async function surveyKeys(
  { shards, homeOf }: SourceSet,
  rule: CopyRule,
  access: SourceAccess,
): Promise<Scattered> {
  const sockets: NodeSocket[] = [];
  try {
    for (const { master, db } of shards) {
      const socket = await openSource(master, { ...access, withinMs: WITHIN_MS });
      sockets.push(socket);
      if (db !== 0) await socket.call("SELECT", String(db));
    }
    const found = new Map<string, number[]>();
    for (const [index, socket] of sockets.entries()) {
      await scan(socket, (key) => {
        if (homeOf?.(key) === index) return;
        const id = key.toString("latin1");
        const at = found.get(id);
        // SCAN may return a key twice.
        if (at === undefined) found.set(id, [index]);
        else if (!at.includes(index)) at.push(index);
        const max = homeOf === undefined ? KEYS_MAX : SCATTERED_MAX;
        if (found.size > max) throw many(max, homeOf === undefined);
      });
    }
    if (homeOf !== undefined) await addHomes(found, homeOf, sockets);
    const names = shards.map(({ name }) => name);
    return decideScattered(scatteredKeys(found), rule, homeOf, names);
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

function* scatteredKeys(found: ReadonlyMap<string, readonly number[]>): Generator<ScatteredKey> {
  for (const [id, shards] of found) {
    yield { key: Buffer.from(id, "latin1"), shards: shards.toSorted((a, b) => a - b) };
  }
}

async function scan(socket: NodeSocket, take: (key: Buffer) => void): Promise<void> {
  let cursor = "0";
  do {
    const [next, page] = itemsOf(await socket.call("SCAN", cursor, "COUNT", COUNT));
    for (const key of itemsOf(page)) if (key.type === "bulk") take(key.bytes);
    cursor = textOf(next) ?? "0";
  } while (cursor !== "0");
}

/** Such a key may be at home as well. */
async function addHomes(
  found: ReadonlyMap<string, number[]>,
  homeOf: (key: Uint8Array) => number,
  sockets: readonly NodeSocket[],
): Promise<void> {
  const entries = [...found];
  for (let at = 0; at < entries.length; at += ASKED_AT_ONCE) {
    const asked = entries.slice(at, at + ASKED_AT_ONCE).map(async ([id, shards]) => {
      const key = Buffer.from(id, "latin1");
      const home = homeOf(key);
      const isThere = numberOf(await sockets[home]?.call("EXISTS", key));
      if (isThere === 1) shards.push(home);
    });
    await Promise.all(asked);
  }
}

function many(max: number, isRandom: boolean): TwineError {
  return new TwineError({
    code: "LOAD_DUPLICATES_MANY",
    message: `more than ${max} keys lie on servers where they do not belong`,
    remedy: isRandom
      ? "load fewer servers at a time, with --replace"
      : "check hash, distribution, hash_tag and the names of the servers in nutcracker.yml",
  });
}
