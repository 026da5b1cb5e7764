// archive-index.ts: what a target holds of the archive: heads and names of segments, and where its newest run ends.
import { TwineError } from "../../core/errors.ts";
import type { ArchiveStore } from "../targets/target.ts";
import { BlockError, readBlocks, type BlockHeader } from "./archive-block.ts";
import { parseArchiveName, segmentsThrough, type SegmentName } from "./archive-names.ts";
import type { ArchiveIndex } from "./archive-path.ts";
import type { KnownEnd } from "./block-box.ts";
import { parseRunHead, RUN_BYTES_MAX, type RunHead } from "./run-head.ts";

/** Heads that can't be read are left out: nothing leads through them then. */
export async function readArchiveIndex(
  store: Pick<ArchiveStore, "list" | "read">,
): Promise<ArchiveIndex> {
  const heads = new Map<string, RunHead>();
  const segments: SegmentName[] = [];
  for (const name of await store.list()) {
    const parsed = parseArchiveName(name);
    if (parsed?.kind === "segment") segments.push(parsed);
    if (parsed?.kind !== "run") continue;
    const head = parseRunHead(await textOf(store, name));
    if (head.kind === "parsed" && head.value.run === parsed.run) heads.set(parsed.run, head.value);
  }
  return { heads, segments };
}

async function textOf(store: Pick<ArchiveStore, "read">, name: string): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of store.read(name)) {
      bytes += chunk.length;
      if (bytes > RUN_BYTES_MAX) return "";
      chunks.push(chunk);
    }
  } catch (error) {
    // Without its head a run would not be there for whoever continues it or restores from it: only what has gone may be left out.
    if (isGone(error)) return "";
    throw named(error, name);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Removed since it was listed. A bucket's absent object has no code. */
function isGone(error: unknown): boolean {
  if (error instanceof TwineError) return false;
  return !(error instanceof Error && "code" in error) || error.code === "ENOENT";
}

/** The store's own errors name what they are about. */
export function named(error: unknown, name: string): unknown {
  if (error instanceof Error && !(error instanceof TwineError)) {
    error.message = `the archive's ${name}: ${error.message}`;
  }
  return error;
}

const TRIES = 3;

/** Again with a new list when a file of the one before has gone since: small files become one, which says the same. */
export async function withIndex<T>(
  store: Pick<ArchiveStore, "list" | "read">,
  task: (index: ArchiveIndex) => Promise<T>,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    const index = await readArchiveIndex(store);
    try {
      return await task(index);
    } catch (error) {
      // The store's own trouble is no file that has gone.
      if (tries === TRIES || error instanceof TwineError) throw error;
    }
  }
}

/** The runs of an index, the newest last. */
export function runsByTime({ heads }: ArchiveIndex): RunHead[] {
  return [...heads.values()].toSorted((a, b) =>
    a.startedAt === b.startedAt ? (a.run < b.run ? -1 : 1) : a.startedAt < b.startedAt ? -1 : 1,
  );
}

/** The headers of the blocks of a segment, up to the first that is damaged. */
export async function headersOf(
  store: Pick<ArchiveStore, "read">,
  { name }: Pick<SegmentName, "name">,
): Promise<BlockHeader[]> {
  const headers: BlockHeader[] = [];
  try {
    for await (const { header } of readBlocks(store.read(name))) headers.push(header);
  } catch (error) {
    if (!(error instanceof BlockError)) throw named(error, name);
  }
  return headers;
}

/** Where the newest run ends; undefined: there is none, or it holds nothing that can be continued. */
export async function endOf(
  store: Pick<ArchiveStore, "read">,
  index: ArchiveIndex,
): Promise<KnownEnd | undefined> {
  const head = runsByTime(index).at(-1);
  if (head === undefined) return undefined;
  const { run, starts } = head;
  const last = segmentsThrough(index.segments, run).at(-1);
  const header = last === undefined ? undefined : (await headersOf(store, last)).at(-1);
  if (last !== undefined && header?.block !== last.last) return undefined;
  return {
    run,
    block: header?.block ?? 0,
    marks: starts.map(({ replicationId, offset }, at) => ({
      replicationId,
      offset: header?.to[at] ?? offset,
    })),
  };
}
