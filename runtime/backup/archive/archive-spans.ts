// archive-spans.ts: from when to when there is something to restore, and where the gaps are.
//
//   runs that continue each other ---- gap ---- runs that continue each other
//        oldest backup that leads to the end .. last block
import { problemOf } from "../copies.ts";
import type { Problem } from "../../core/errors.ts";
import { parseManifest, type Manifest } from "../manifest.ts";
import type { BackupTarget } from "../targets/target.ts";
import { headersOf, runsByTime, withIndex } from "./archive-index.ts";
import { segmentsThrough } from "./archive-names.ts";
import { whyNoBase, type ArchiveIndex } from "./archive-path.ts";
import type { RunHead } from "./run-head.ts";
import { basesOf } from "./target-archive.ts";

export interface ArchiveSpan {
  readonly target: string;
  /** ISO 8601; null: no backup leads to what was recorded. */
  readonly from: string | null;
  readonly to: string;
  /** Why what came before it is missing; empty: it begins with the archive. */
  readonly gap: string;
}

/** Oldest first, target by target. */
export async function archiveSpans(
  targets: readonly BackupTarget[],
): Promise<{ readonly spans: readonly ArchiveSpan[]; readonly problems: readonly Problem[] }> {
  const spans: ArchiveSpan[] = [];
  const problems: Problem[] = [];
  for (const target of targets) {
    try {
      spans.push(...(await spansIn(target)));
    } catch (error) {
      problems.push(problemOf(error, target.name));
    }
  }
  return { spans, problems };
}

async function spansIn(target: BackupTarget): Promise<ArchiveSpan[]> {
  const bases = (await target.list()).flatMap(({ manifest, startedAtMs }) => {
    const parsed = parseManifest(manifest);
    return parsed.kind === "parsed" ? [{ manifest: parsed.value, startedAtMs }] : [];
  });
  return withIndex(target.archive, (index) => spansOf(target, index, bases));
}

async function spansOf(
  target: BackupTarget,
  index: ArchiveIndex,
  bases: readonly { readonly manifest: Manifest; readonly startedAtMs: number }[],
): Promise<ArchiveSpan[]> {
  const spans: ArchiveSpan[] = [];
  for (const { end, gap } of chainsIn(index)) {
    const last = segmentsThrough(index.segments, end).at(-1);
    const header = last === undefined ? undefined : (await headersOf(target.archive, last)).at(-1);
    if (header === undefined) continue;
    const at = { run: end, block: header.block, offsets: header.to };
    const first = bases.find(
      ({ manifest, startedAtMs }) =>
        whyNoBase(index, basesOf(manifest, startedAtMs), at) === undefined,
    );
    const from = first?.manifest.cut?.at ?? first?.manifest.endedAt ?? null;
    spans.push({ target: target.name, from, to: new Date(header.atMs).toISOString(), gap });
  }
  return spans;
}

/** The last runs before each gap and at the end, with the reason of the gap before them. Pure. */
export function chainsIn(index: ArchiveIndex): { readonly end: string; readonly gap: string }[] {
  const chains: { end: string; gap: string }[] = [];
  for (const [at, head] of runsByTime(index).entries()) {
    const before = chains.at(-1);
    const isSame = at > 0 && before !== undefined && isContinuing(head, index);
    if (isSame) before.end = head.run;
    else chains.push({ end: head.run, gap: at === 0 ? "" : head.why });
  }
  // A run that has recorded nothing ends nothing.
  return chains;
}

function isContinuing({ continues, starts }: RunHead, { heads }: ArchiveIndex): boolean {
  return (
    continues !== undefined &&
    heads.has(continues.run) &&
    starts.every(({ before, replicationId }) => before !== undefined || replicationId === "")
  );
}
