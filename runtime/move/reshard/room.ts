// room.ts: how many keys and bytes every new partition gets, and whether its nodes have room for them. Pure.
import type { Problem } from "../../core/errors.ts";

/** Some keys of one source, and how many it has. */
export interface Sample {
  readonly keyCount: number;
  /** Memory of all its keys together, as Redis measures its data. */
  readonly datasetBytes: number;
  readonly sampled: readonly { readonly target: number; readonly bytes: number }[];
}

export interface Share {
  readonly partition: number;
  readonly keys: number;
  readonly bytes: number;
}

/** A target's bookkeeping besides the keys: clients, backlog, tables that grow. */
const ROOM_FACTOR = 1.15;

/** By new partition. From a sample, so the figures are estimates. */
export function sharesOf(samples: readonly Sample[], partitions: number): Share[] {
  const keys = new Array<number>(partitions).fill(0);
  const bytes = new Array<number>(partitions).fill(0);
  for (const { keyCount, datasetBytes, sampled } of samples) {
    const sampledBytes = sampled.reduce((sum, one) => sum + one.bytes, 0);
    for (const one of sampled) {
      keys[one.target] = (keys[one.target] ?? 0) + keyCount / sampled.length;
      bytes[one.target] = (bytes[one.target] ?? 0) + (datasetBytes * one.bytes) / sampledBytes;
    }
  }
  return keys.map((count, partition) => ({
    partition,
    keys: Math.round(count),
    bytes: Math.round(bytes[partition] ?? 0),
  }));
}

export interface NodeRoom {
  readonly node: string;
  readonly partition: number;
  /** 0: no limit of its own. */
  readonly maxmemoryBytes: number;
}

/** A problem for each new node that can't hold its share. */
export function roomProblems(shares: readonly Share[], nodes: readonly NodeRoom[]): Problem[] {
  return nodes.flatMap(({ node, partition, maxmemoryBytes }): Problem[] => {
    const needed = Math.round((shares[partition]?.bytes ?? 0) * ROOM_FACTOR);
    if (maxmemoryBytes === 0 || needed <= maxmemoryBytes) return [];
    return [
      {
        code: "RESHARD_NO_ROOM",
        message: `${node} gets about ${needed} bytes, and its maxmemory is ${maxmemoryBytes}`,
        remedy: "give it more maxmemory, or name more partitions",
      },
    ];
  });
}
