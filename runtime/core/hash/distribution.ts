// distribution.ts: maps a hash to a partition by other rules than `hash % partitions`, for clusters that were built with
// other software. Pure.
//
//   hash twemproxy-md5 ketama shard1:1 shard2:2    twemproxy's ring: one NAME:WEIGHT for each partition
//   hash twemproxy-md5 modula shard1:1 shard2:2    twemproxy's modulo, weighted
//   hash crc16 slots 0-8191 8192-16383             Redis Cluster's 16384 slots: those of each partition
//
// One word for each partition, in the order of partition numbers.
import { createHash } from "node:crypto";

export interface WeightedServer {
  /** twemproxy's name of the server: the name after its address, else HOST:PORT, without the port if it is 11211. */
  readonly name: string;
  /** At least 1. */
  readonly weight: number;
}

/** First and last slot, both included. */
export type SlotRange = readonly [from: number, to: number];

export type Distribution =
  | { readonly kind: "ketama" | "modula"; readonly servers: readonly WeightedServer[] }
  | { readonly kind: "slots"; readonly ranges: readonly (readonly SlotRange[])[] };

export const SLOT_COUNT = 16_384;

export const DISTRIBUTIONS = ["ketama", "modula", "slots"] as const;

/** twemproxy hashes only 86 bytes for a point and reads beyond its buffer, so longer names have no defined result. */
export const SERVER_NAME_CHARS_MAX = 80;

/** Larger weights would make a table that is too large for a router. */
const WEIGHTS_MAX = 1_000_000;

const POINTS_PER_SERVER = 160;
const POINTS_PER_DIGEST = 4;

/** The number of partitions. */
export function partitionsOf(distribution: Distribution): number {
  return distribution.kind === "slots" ? distribution.ranges.length : distribution.servers.length;
}

/** The function from a hash (unsigned 32 bits) to a partition. */
export function distribute(distribution: Distribution): (hash: number) => number {
  if (distribution.kind === "slots") return bySlots(distribution.ranges);
  const { kind, servers } = distribution;
  // A twemproxy pool with one server uses neither hash nor ring.
  if (servers.length === 1) return () => 0;
  return kind === "modula" ? byWeights(servers) : byRing(ketamaRing(servers));
}

function byWeights(servers: readonly WeightedServer[]): (hash: number) => number {
  const owners = Uint32Array.from(
    servers.flatMap(({ weight }, partition) => Array<number>(weight).fill(partition)),
  );
  return (hash) => owners[hash % owners.length] ?? 0;
}

function bySlots(ranges: readonly (readonly SlotRange[])[]): (hash: number) => number {
  const owners = new Uint32Array(SLOT_COUNT);
  for (const [partition, owned] of ranges.entries()) {
    for (const [from, to] of owned) owners.fill(partition, from, to + 1);
  }
  return (hash) => owners[hash % SLOT_COUNT] ?? 0;
}

export interface Ring {
  /** Ascending, unsigned. */
  readonly points: Uint32Array;
  /** The partition of each point. */
  readonly owners: Uint32Array;
}

/** twemproxy's continuum (nc_ketama.c). Computes in single precision as twemproxy does, because one point more or less
    moves keys. */
export function ketamaRing(servers: readonly WeightedServer[]): Ring {
  const total = Math.fround(servers.reduce((sum, { weight }) => sum + weight, 0));
  const found: { point: number; owner: number }[] = [];
  for (const [owner, { name, weight }] of servers.entries()) {
    for (let digest = 0; digest < digestsOf(weight, total, servers.length); digest += 1) {
      const md5 = createHash("md5").update(`${name}-${digest}`, "latin1").digest();
      for (let part = 0; part < POINTS_PER_DIGEST; part += 1) {
        found.push({ point: md5.readUInt32LE(part * 4), owner });
      }
    }
  }
  found.sort((a, b) => a.point - b.point);
  return {
    points: Uint32Array.from(found, ({ point }) => point),
    owners: Uint32Array.from(found, ({ owner }) => owner),
  };
}

/** The number of digests (four points each) of a server. A small weight among large ones gets none. */
export function digestsOf(weight: number, total: number, servers: number): number {
  const share = Math.fround(Math.fround(weight) / Math.fround(total));
  const points = Math.fround(Math.fround(share * POINTS_PER_SERVER) / POINTS_PER_DIGEST);
  return Math.floor(Math.fround(Math.fround(points * Math.fround(servers)) + 1e-10));
}

/** The owner of the first point that is not below the hash; after the last point, the owner of the first. */
function byRing({ points, owners }: Ring): (hash: number) => number {
  return (hash) => {
    let left = 0;
    let right = points.length;
    while (left < right) {
      const middle = (left + right) >>> 1;
      if ((points[middle] ?? 0) < hash) left = middle + 1;
      else right = middle;
    }
    return owners[left === points.length ? 0 : left] ?? 0;
  };
}

/** Parses the words of a distribution; returns a sentence with the reason if they are invalid. */
export function parseDistribution(words: readonly string[]): Distribution | string {
  const [kind, ...parts] = words;
  if (kind === "slots") return parseSlots(parts);
  if (kind !== "ketama" && kind !== "modula") {
    return `'${kind ?? ""}' is no distribution; there are ${DISTRIBUTIONS.join(", ")}`;
  }
  const servers: WeightedServer[] = [];
  for (const part of parts) {
    const found = /^(.+):(\d{1,7})$/.exec(part);
    const name = found?.[1] ?? "";
    const weight = Number(found?.[2] ?? 0);
    if (weight < 1) return `'${part}' is not NAME:WEIGHT, with a weight of at least 1`;
    if (name.length > SERVER_NAME_CHARS_MAX) {
      return `the name '${name.slice(0, 20)}...' is longer than ${SERVER_NAME_CHARS_MAX} characters`;
    }
    if (servers.some((server) => server.name === name)) return `'${name}' is there twice`;
    servers.push({ name, weight });
  }
  if (servers.length === 0) return `${kind} needs one NAME:WEIGHT for each partition`;
  if (servers.reduce((sum, { weight }) => sum + weight, 0) > WEIGHTS_MAX) {
    return `the weights add up to more than ${WEIGHTS_MAX}`;
  }
  return { kind, servers };
}

function parseSlots(parts: readonly string[]): Distribution | string {
  const owners = new Map<number, string>();
  const ranges: SlotRange[][] = [];
  for (const part of parts) {
    const owned: SlotRange[] = [];
    for (const range of part.split(",")) {
      const found = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(range);
      const from = Number(found?.[1] ?? SLOT_COUNT);
      const to = Number(found?.[2] ?? from);
      if (from > to || to >= SLOT_COUNT) {
        return `'${range}' is no range of slots from 0 to ${SLOT_COUNT - 1}`;
      }
      for (let slot = from; slot <= to; slot += 1) {
        const owner = owners.get(slot);
        if (owner !== undefined) return `slot ${slot} is in ${owner} and in ${part}`;
        owners.set(slot, part);
      }
      owned.push([from, to]);
    }
    ranges.push(owned);
  }
  for (let slot = 0; slot < SLOT_COUNT; slot += 1) {
    if (!owners.has(slot)) return `slot ${slot} is in no partition`;
  }
  return { kind: "slots", ranges };
}

/** The words that parseDistribution parses to the same distribution. */
export function printDistribution(distribution: Distribution): readonly string[] {
  const { kind } = distribution;
  if (kind !== "slots") {
    return [kind, ...distribution.servers.map(({ name, weight }) => `${name}:${weight}`)];
  }
  const range = ([from, to]: SlotRange): string => (from === to ? `${from}` : `${from}-${to}`);
  return [kind, ...distribution.ranges.map((owned) => owned.map(range).join(","))];
}
