// sample-keys.ts: the proof that a twine.conf finds the keys: some of each live server's, hashed, and compared.
//
//   server of partition 2 --some keys--> partition function --all 2?--> proved | these lie elsewhere
import { errorText } from "../../core/error-text.ts";
import type { Problem } from "../../core/errors.ts";
import type { PartitionFunction } from "../../core/hash/partition-function.ts";
import type { NodeSocket } from "../../replication/node-socket.ts";
import { itemsOf, numberOf, textOf, type RespValue } from "../../resp/value.ts";
import {
  addressText,
  type ImportedCluster,
  type ImportedNode,
  type ImportedShard,
} from "./imported.ts";
import { openSource, type SourceOptions } from "./source-link.ts";

export interface MisplacedKey {
  /** As redis-cli shows it: bytes that are no text as \xNN. */
  readonly key: string;
  readonly server: string;
  /** Where clients look for it. */
  readonly belongsTo: string;
}

export interface SampledServer {
  readonly server: string;
  readonly partition: number;
  readonly keys: number;
  readonly sampled: number;
  readonly misplaced: number;
}

export interface Proof {
  readonly servers: readonly SampledServer[];
  /** At most SHOWN_MAX of each server. */
  readonly misplaced: readonly MisplacedKey[];
  readonly errors: readonly Problem[];
}

const SHOWN_MAX = 10;
/** Beyond so many calls without news a server holds fewer keys than it says. */
const ROUNDS_MAX = 10_000;

export async function sampleKeys(
  { shards }: ImportedCluster,
  partitionOf: PartitionFunction,
  options: SourceOptions & { readonly perServer: number },
): Promise<Proof> {
  const errors: Problem[] = [];
  const servers: SampledServer[] = [];
  const misplaced: MisplacedKey[] = [];
  for (const [partition, shard] of shards.entries()) {
    const server = addressText(shard.master);
    try {
      const { keys, sample } = await sampleOf(shard.master, shard.db, options);
      const wrong = sample.filter((key) => partitionOf(key) !== partition);
      servers.push({ server, partition, keys, sampled: sample.length, misplaced: wrong.length });
      misplaced.push(
        ...wrong.slice(0, SHOWN_MAX).map((key) => ({
          key: shownKey(key),
          server,
          belongsTo: addressText(shards[partitionOf(key)]?.master ?? shard.master),
        })),
      );
    } catch (error) {
      errors.push(unreadable(shard, errorText(error)));
    }
  }
  return { servers, misplaced, errors };
}

function unreadable({ name, master, at }: ImportedShard, why: string): Problem {
  return {
    code: "SERVER_UNREADABLE",
    message: `the keys of ${name} can't be sampled: ${why}`,
    at,
    remedy: `start ${addressText(master)}, or give its password in the file that TWINE_SOURCE_PASSWORD_FILE names; without a proof: --offline`,
  };
}

/** All keys of a small server, random ones of a large one. */
async function sampleOf(
  node: ImportedNode,
  db: number,
  options: SourceOptions & { readonly perServer: number },
): Promise<{ keys: number; sample: readonly Buffer[] }> {
  const socket = await openSource(node, options);
  try {
    if (db !== 0) await socket.call("SELECT", String(db));
    const role = textOf(itemsOf(await socket.call("ROLE"))[0]);
    if (role !== "master") throw new Error(`${addressText(node)} is no master: it says ${role}`);
    const keys = numberOf(await socket.call("DBSIZE")) ?? 0;
    const found =
      keys <= options.perServer
        ? await scanned(socket)
        : await randomOnes(socket, options.perServer);
    return { keys, sample: [...found.values()] };
  } finally {
    socket.destroy();
  }
}

async function scanned(socket: NodeSocket): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  let cursor = "0";
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const [next, page] = itemsOf(await socket.call("SCAN", cursor, "COUNT", "1000"));
    for (const key of itemsOf(page)) keep(found, key);
    cursor = textOf(next) ?? "0";
    if (cursor === "0") break;
  }
  return found;
}

async function randomOnes(socket: NodeSocket, count: number): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  const calls = Array.from({ length: count }, () => socket.call("RANDOMKEY"));
  for (const key of await Promise.all(calls)) keep(found, key);
  return found;
}

function keep(found: Map<string, Buffer>, key: RespValue): void {
  if (key.type === "bulk") found.set(key.bytes.toString("latin1"), key.bytes);
}

function shownKey(key: Buffer): string {
  return key
    .subarray(0, 100)
    .toString("latin1")
    .replace(/[^\x20-\x7e]|["\\]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
