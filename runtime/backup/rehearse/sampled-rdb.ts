// sampled-rdb.ts: one RDB read through: what it holds in figures, and some of its keys, chosen by their hash, as an RDB of
// their own. The same seed and share choose the same keys of any two RDBs.
import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { RdbScanner, type RdbEntry } from "../../replication/rdb/rdb-scanner.ts";
import { RdbWriter } from "../../replication/rdb/rdb-writer.ts";

export interface SampleRule {
  /** 32 bits. */
  readonly seed: number;
  /** Of all keys, from 0 to 1. */
  readonly share: number;
  /** Now, as Unix time. */
  readonly nowMs: number;
  /** Whether a key does not belong into this partition. */
  isMisplaced(key: Buffer): boolean | Promise<boolean>;
}

export interface SampledKey {
  readonly db: number;
  readonly key: Buffer;
  readonly expireAtMs: number | undefined;
}

export interface SampledRdb {
  /** Keys that never expire. */
  readonly lasting: number;
  /** Keys that expire, and those whose time has not come. */
  readonly expiring: number;
  readonly unexpired: number;
  readonly misplaced: number;
  /** SHA-256 of each library of functions, sorted. */
  readonly functions: readonly string[];
  /** Those in the file. */
  readonly sample: readonly SampledKey[];
}

export function isSampled(key: Uint8Array, { seed, share }: Pick<SampleRule, "seed" | "share">) {
  return crc32(key, seed) < share * 2 ** 32;
}

/** Writes the sample to `path`, which does not exist yet. Throws RdbError when the RDB is broken. */
export async function sampleRdb(
  chunks: AsyncIterable<Buffer>,
  path: string,
  rule: SampleRule,
): Promise<SampledRdb> {
  const scanner = new RdbScanner();
  const counts = { lasting: 0, expiring: 0, unexpired: 0, misplaced: 0 };
  const [functions, sample]: [string[], SampledKey[]] = [[], []];
  const file = await open(path, "wx", 0o600);
  let writer: RdbWriter | undefined;
  const note = async ({ key, db, expireAtMs }: RdbEntry): Promise<boolean> => {
    if (expireAtMs === undefined) counts.lasting++;
    else counts.expiring++;
    if (expireAtMs !== undefined && expireAtMs > rule.nowMs) counts.unexpired++;
    const misplaced = rule.isMisplaced(key);
    if (typeof misplaced === "boolean" ? misplaced : await misplaced) counts.misplaced++;
    if (!isSampled(key, rule)) return false;
    sample.push({ db, key: Buffer.from(key), expireAtMs });
    writer?.select(db);
    return true;
  };
  let isWanted = false;
  try {
    for await (const chunk of chunks) {
      for (const piece of scanner.push(chunk)) {
        if (piece.kind === "magic") writer = new RdbWriter(piece);
        else if (piece.kind === "function") functions.push(sha256(piece.code));
        else if (piece.kind === "entry") isWanted = await note(piece);
        else if (piece.kind !== "rest") isWanted = false;
        if (!isWanted || writer === undefined) continue;
        writer.add(piece.bytes);
        await file.writeFile(writer.flush());
      }
    }
    scanner.finish();
    if (writer !== undefined) await file.writeFile(writer.end());
  } finally {
    await file.close();
  }
  return { ...counts, functions: functions.toSorted(), sample };
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
