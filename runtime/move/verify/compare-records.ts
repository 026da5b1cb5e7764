// compare-records.ts: the records of the same keys of two sides, beside each other. Pure.
import type { KeyRecord } from "./key-records.ts";

export type Kind =
  /** The target has not what the source has. */
  | "missing"
  /** The target has what the source has not. */
  | "extra"
  /** Both have it, with another value or expiry. */
  | "differs"
  /** More than one server of this side has it. */
  | "twice in source"
  | "twice in target";

export interface Difference {
  readonly kind: Kind;
  readonly record: KeyRecord;
}

export interface Compared {
  /** Different keys of each side. */
  readonly sourceKeys: number;
  readonly targetKeys: number;
  readonly differences: readonly Difference[];
}

/** Records of one hash range of either side, in any order. */
export function compareRecords(
  source: readonly KeyRecord[],
  target: readonly KeyRecord[],
): Compared {
  const differences: Difference[] = [];
  const once = (records: readonly KeyRecord[], kind: Kind): Map<string, KeyRecord> => {
    const found = new Map<string, KeyRecord>();
    for (const record of records) {
      if (found.has(record.hash)) differences.push({ kind, record });
      else found.set(record.hash, record);
    }
    return found;
  };
  const sources = once(source, "twice in source");
  const targets = once(target, "twice in target");
  for (const [hash, record] of sources) {
    const other = targets.get(hash);
    if (other === undefined) differences.push({ kind: "missing", record });
    else if (other.digest !== record.digest) differences.push({ kind: "differs", record });
  }
  for (const [hash, record] of targets) {
    if (!sources.has(hash)) differences.push({ kind: "extra", record });
  }
  return { sourceKeys: sources.size, targetKeys: targets.size, differences };
}

/** A set of hashes in bounded memory: what was added is in it, and so is, by chance, a little of what was not. */
export class Suspects {
  readonly #bits = new Uint8Array(2 ** 24);
  #count = 0;

  /** How many were added. */
  get count(): number {
    return this.#count;
  }

  add(hash: string): void {
    const at = placeOf(hash);
    this.#bits[at >>> 3] = (this.#bits[at >>> 3] ?? 0) | (1 << (at & 7));
    this.#count++;
  }

  has(hash: string): boolean {
    const at = placeOf(hash);
    return ((this.#bits[at >>> 3] ?? 0) & (1 << (at & 7))) !== 0;
  }
}

/** 27 bits of the hash. */
function placeOf(hash: string): number {
  const part = [0, 1, 2, 3].reduce((sum, at) => sum * 256 + (hash.charCodeAt(at) & 0xff), 0);
  return part >>> 5;
}
