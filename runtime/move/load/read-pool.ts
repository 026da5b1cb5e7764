// read-pool.ts: the servers of a nutcracker.yml's pool, and the function by which twemproxy divides keys among them. Pure.
// A pool with `distribution: random` has no such function; twine-import refuses it, but its keys can be loaded.
import { TwineError } from "../../core/errors.ts";
import { partitionsOf } from "../../core/hash/distribution.ts";
import { builtinPlace } from "../../core/routing.ts";
import type { ImportedShard } from "../import/imported.ts";
import { importNutcracker } from "../import/nutcracker.ts";

export interface Pool {
  readonly shards: readonly ImportedShard[];
  readonly homeOf: ((key: Uint8Array) => number) | undefined;
  readonly layout: string;
  /** redis_auth. */
  readonly password: string | undefined;
}

/** Throws every problem of the file. */
export function readPool(text: string, file: string, pool: string | undefined): Pool {
  const first = importNutcracker(text, file, pool);
  const isRandom =
    first.errors.length > 0 && first.errors.every(({ code }) => code === "DISTRIBUTION_RANDOM");
  // Read as modula, for its servers: their order is the same.
  const { cluster, errors } = isRandom
    ? importNutcracker(text.replace(/^(\s+distribution\s*:\s*)random\b/gm, "$1modula"), file, pool)
    : first;
  if (cluster === undefined) throw new TwineError(errors);
  const { shards, hash = "crc32", hashTag, distribution, password } = cluster;
  const partitions = distribution === undefined ? shards.length : partitionsOf(distribution);
  const homeOf = isRandom ? undefined : builtinPlace({ hash, partitions, hashTag, distribution });
  const layout = JSON.stringify([hash, hashTag, distribution, shards.map(({ name }) => name)]);
  return { shards, homeOf, layout: isRandom ? "random" : layout, password };
}
