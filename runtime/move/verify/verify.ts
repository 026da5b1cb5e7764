// verify.ts: whether two systems hold the same keys with the same values, whatever their servers and their partitions are.
//
//   pass 1: every value's bytes of both sides ------------------> the same: done
//   pass 2: what differed, by value -----> the same: done            | keys that differ
//   pass 3 ...: what still differs  -----> written meanwhile: done   v
//                                          still different: reported
//
// Both sides may be written to: a key is reported only when it differed in every pass.
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../ports/clock.ts";
import { libraryName } from "../../replication/rdb/rdb-counts.ts";
import { compareRecords, Suspects, type Difference, type Kind } from "./compare-records.ts";
import { BUCKET_COUNT, readRecords } from "./key-records.ts";
import { readSide, type ReadSide, type Side } from "./read-side.ts";
import { ValueDigests } from "./value-digests.ts";

export interface VerifyProgress {
  readonly pass: number;
  /** Of both sides, in this pass. */
  readonly bytes: number;
  /** Keys that this pass looks at; undefined: all. */
  readonly suspects: number | undefined;
}

export interface VerifyOptions {
  readonly source: Side;
  readonly target: Side;
  /** At least 2, when there is something to look at again. */
  readonly passes: number;
  /** Private, and empty. */
  readonly folder: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** The redis-server that loads values; absent: that of PATH. It is as new as the newest of both sides, or knows less. */
  readonly program?: string | undefined;
  /** Keys and functions that only the target has are no difference.
      @default false */
  readonly mayHaveMore?: boolean;
  readonly onProgress?: (progress: VerifyProgress) => void;
}

export interface FoundDifference {
  readonly kind: Kind;
  readonly db: number;
  /** Its first 200 bytes. */
  readonly key: string;
}

export interface Verified {
  readonly isSame: boolean;
  readonly passes: number;
  /** In the first pass. */
  readonly sourceKeys: number;
  readonly targetKeys: number;
  /** By kind, how many keys. */
  readonly counts: Readonly<Record<Kind, number>>;
  /** The first ones of each kind. */
  readonly differences: readonly FoundDifference[];
  /** Names of libraries of functions that one side alone has. */
  readonly librariesOfSource: readonly string[];
  readonly librariesOfTarget: readonly string[];
  /** Values that this machine's redis-server can't load: their bytes were compared. */
  readonly unloadable: number;
}

const PAUSE_MS = 1000;
const SHOWN_MAX = 1000;

interface Pass {
  readonly suspects: Suspects;
  readonly found: Verified;
}

/** Throws VERIFY_UNREADABLE, RdbError, SCRATCH_FAILED. */
export async function verify(options: VerifyOptions): Promise<Verified> {
  const { folder, clock, signal, program, passes } = options;
  let digests: ValueDigests | undefined;
  try {
    let last = await onePass(1, undefined, undefined, options);
    const { sourceKeys, targetKeys } = last.found;
    for (let pass = 2; pass <= passes && !last.found.isSame; pass++) {
      signal.throwIfAborted();
      if (pass > 2) await clock.delay(PAUSE_MS);
      digests ??= await ValueDigests.open({ folder, clock, signal, program });
      last = await onePass(pass, last.suspects, digests, options);
    }
    return { ...last.found, sourceKeys, targetKeys };
  } finally {
    await digests?.close();
  }
}

async function onePass(
  pass: number,
  suspects: Suspects | undefined,
  digests: ValueDigests | undefined,
  options: VerifyOptions,
): Promise<Pass> {
  const { source, target, clock, onProgress, mayHaveMore = false } = options;
  const folder = join(options.folder, `pass-${pass}`);
  await mkdir(folder, { mode: 0o700 });
  let bytes = 0;
  const read = (side: Side, name: string): Promise<ReadSide> => {
    const ports = {
      ...{ folder, name, nowMs: () => Date.parse(clock.wallTime()) },
      onBytes: (count: number) => {
        bytes += count;
        onProgress?.({ pass, bytes, suspects: suspects?.count });
      },
    };
    const values =
      suspects === undefined || digests === undefined ? undefined : { suspects, digests };
    return readSide(side, ports, values);
  };
  const sides = await bothEnded([read(source, "source"), read(target, "target")]);
  const next = new Suspects();
  const found = await compareAll(folder, suspects, next, mayHaveMore);
  await rm(folder, { recursive: true, force: true });
  const [own, others] = sides.map(({ libraries }) => libraries);
  const librariesOfSource = namesAlone(own, others);
  const librariesOfTarget = mayHaveMore ? [] : namesAlone(others, own);
  const isSame =
    Object.values(found.counts).every((count) => count === 0) &&
    librariesOfSource.length + librariesOfTarget.length === 0;
  const unloadable = digests?.unloadable ?? 0;
  return {
    suspects: next,
    found: { ...found, isSame, passes: pass, librariesOfSource, librariesOfTarget, unloadable },
  };
}

/** When one side fails, the other has ended too: nobody writes into a folder that is removed. */
async function bothEnded(reads: readonly Promise<ReadSide>[]): Promise<readonly ReadSide[]> {
  const settled = await Promise.allSettled(reads);
  return settled.map((one) => {
    if (one.status === "rejected") throw one.reason;
    return one.value;
  });
}

async function compareAll(
  folder: string,
  suspects: Suspects | undefined,
  next: Suspects,
  mayHaveMore: boolean,
): Promise<Pick<Verified, "sourceKeys" | "targetKeys" | "counts" | "differences">> {
  const counts: Record<Kind, number> = {
    ...{ missing: 0, extra: 0, differs: 0, "twice in source": 0, "twice in target": 0 },
  };
  const differences: FoundDifference[] = [];
  let [sourceKeys, targetKeys] = [0, 0];
  const take = ({ kind, record }: Difference): void => {
    if (mayHaveMore && kind === "extra") return;
    // A few that nobody asked for were read as well.
    if (suspects?.has(record.hash) === false) return;
    next.add(record.hash);
    if (counts[kind]++ < SHOWN_MAX) {
      differences.push({ kind, db: record.db, key: record.key.toString("utf8") });
    }
  };
  const names = new Set(await readdir(folder));
  for (let bucket = 0; bucket < BUCKET_COUNT; bucket++) {
    if (!names.has(`source-${bucket}`) && !names.has(`target-${bucket}`)) continue;
    const compared = compareRecords(
      await readRecords(folder, "source", bucket),
      await readRecords(folder, "target", bucket),
    );
    sourceKeys += compared.sourceKeys;
    targetKeys += compared.targetKeys;
    compared.differences.forEach(take);
  }
  return { sourceKeys, targetKeys, counts, differences };
}

function namesAlone(
  own: ReadonlyMap<string, Buffer> | undefined,
  others: ReadonlyMap<string, Buffer> | undefined,
): string[] {
  return [...(own ?? [])].flatMap(([code, bytes]) =>
    others?.has(code) === true ? [] : [libraryName(bytes)],
  );
}
