// source-set.ts: the servers of the other system that hold its keys now, whatever system it is.
//
//   a Redis, Sentinel, nutcracker.yml, a node of a Redis Cluster --asked--> shards: a master, its replicas, a database
import { readFileSync } from "node:fs";
import { TwineError } from "../../core/errors.ts";
import { errorText } from "../../core/error-text.ts";
import { builtinPlace } from "../../core/routing.ts";
import type { Clock } from "../../ports/clock.ts";
import type { LinkTls } from "../../ports/link-tls.ts";
import { infoOf } from "../../replication/node-info.ts";
import { askCluster } from "../import/ask-cluster.ts";
import { askSentinels } from "../import/ask-sentinels.ts";
import { addressFrom, addressText, type ImportedNode } from "../import/imported.ts";
import { openSource } from "../import/source-link.ts";
import { readPool } from "./read-pool.ts";
import type { SourcePlace } from "./source-place.ts";

export interface SourceShard {
  /** For people. */
  readonly name: string;
  readonly master: ImportedNode;
  readonly replicas: readonly ImportedNode[];
  readonly db: number;
}

export interface SourceSet {
  readonly shards: readonly SourceShard[];
  /** Index of the shard where the system's clients look for the key; undefined: they look everywhere. */
  readonly homeOf: ((key: Uint8Array) => number) | undefined;
  /** Where it differs, the keys were divided in another way meanwhile. */
  readonly layout: string;
}

export interface SourceAccess {
  readonly password: string | undefined;
  readonly sentinelPassword: string | undefined;
  /** Absent: the sources are spoken to without TLS. */
  readonly tls: LinkTls | undefined;
  /** Which pool of nutcracker.yml. */
  readonly pool: string | undefined;
  readonly clock: Clock;
  /** Ends every connection. */
  readonly signal?: AbortSignal | undefined;
}

export const ANSWER_WITHIN_MS = 5_000;

/** Throws NodeError, LOAD_SOURCE_BAD, and what is wrong with a file or a cluster. */
export async function askSource(place: SourcePlace, access: SourceAccess): Promise<SourceSet> {
  switch (place.kind) {
    case "redis":
      return { shards: [await askRedis(place, access)], homeOf: () => 0, layout: "redis" };
    case "sentinel":
      return { shards: [await askSet(place, access)], homeOf: () => 0, layout: "sentinel" };
    case "cluster": {
      const { shards, distribution } = await askCluster(place.address, access);
      const hashing = { hash: "crc16", hashTag: "{}", partitions: shards.length } as const;
      return {
        shards: shards.map(({ name, master, replicas, db }) => ({ name, master, replicas, db })),
        homeOf: builtinPlace({ ...hashing, distribution }),
        layout: JSON.stringify(distribution),
      };
    }
    case "nutcracker": {
      const { shards, homeOf, layout } = readPool(textOfFile(place.file), place.file, access.pool);
      const asked = shards.map(async (shard): Promise<SourceShard> => {
        const found = await askRedis({ address: shard.master, db: shard.db }, access);
        return { ...found, name: shard.name };
      });
      return { shards: await Promise.all(asked), homeOf, layout };
    }
  }
}

/** redis_auth of a nutcracker.yml. Throws what is wrong with the file. */
export function poolPassword(place: SourcePlace, pool: string | undefined): string | undefined {
  if (place.kind !== "nutcracker") return undefined;
  return readPool(textOfFile(place.file), place.file, pool).password;
}

function textOfFile(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new TwineError(
      {
        code: "FILE_UNREADABLE",
        message: `${file}: ${errorText(cause)}`,
        remedy: "name a readable nutcracker.yml, or write a URL",
      },
      { cause },
    );
  }
}

/** The named server gives its data if it is a replica; of a master, a replica that it lists does. */
async function askRedis(
  { address, db }: { readonly address: ImportedNode; readonly db: number },
  access: SourceAccess,
): Promise<SourceShard> {
  const { clock, password, tls, signal } = access;
  const asking = { clock, password, tls, signal, withinMs: ANSWER_WITHIN_MS };
  const socket = await openSource(address, asking);
  try {
    const fields = await infoOf(socket);
    const name = addressText(address);
    if (fields.get("redis_mode") === "cluster" || fields.get("cluster_enabled") === "1") {
      throw bad(`${name} is a node of a Redis Cluster`, `write cluster://${name}`);
    }
    if (fields.get("redis_mode") === "sentinel") {
      throw bad(`${name} is a Sentinel`, `write sentinel://${name}/NAME`);
    }
    if (fields.get("role") === "master") {
      return { name, master: address, replicas: replicasIn(fields), db };
    }
    const master = addressFrom(
      `${fields.get("master_host") ?? ""}:${fields.get("master_port") ?? ""}`,
    );
    if (master === undefined) throw bad(`${name} is neither a master nor a replica`, "name one");
    return { name, master, replicas: [address], db };
  } finally {
    socket.destroy();
  }
}

const REPLICAS_MAX = 64;

function replicasIn(fields: ReadonlyMap<string, string>): ImportedNode[] {
  const replicas: ImportedNode[] = [];
  for (let index = 0; index < REPLICAS_MAX; index++) {
    const text = fields.get(`slave${index}`) ?? "";
    const [, host = "", port = ""] = /^ip=([^,]+),port=(\d+),state=online/.exec(text) ?? [];
    const address = addressFrom(host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);
    if (address !== undefined) replicas.push(address);
  }
  return replicas;
}

async function askSet(
  place: Extract<SourcePlace, { kind: "sentinel" }>,
  access: SourceAccess,
): Promise<SourceShard> {
  const { clock, tls, signal, sentinelPassword: password } = access;
  const source = { clock, password, tls, signal, withinMs: ANSWER_WITHIN_MS };
  const truth = await askSentinels([place.address], source);
  const found = truth.masters.find(({ name }) => name === place.master);
  // Sentinels on a lost host don't answer: those that do must agree.
  const grave = truth.errors.filter(({ code }) => code !== "SENTINEL_SILENT");
  if (grave.length > 0) throw new TwineError(grave);
  if (truth.sentinels.length === 0) throw new TwineError(truth.errors);
  if (found === undefined) {
    const names = truth.masters.map(({ name }) => name).join(", ");
    throw bad(
      `the Sentinel at ${addressText(place.address)} does not know ${place.master}`,
      `write the name of one that it watches: ${names}`,
    );
  }
  const { master, replicas } = found;
  return { name: place.master, master, replicas, db: 0 };
}

function bad(message: string, remedy: string): TwineError {
  return new TwineError({ code: "LOAD_SOURCE_BAD", message, remedy });
}
