// list-backups.ts: the backups of all targets, newest first, one line for one backup wherever its copies lie.
import type { Problem } from "../core/errors.ts";
import { problemOf } from "./copies.ts";
import { byStart, parseManifest, type Manifest } from "./manifest.ts";
import type { BackupTarget } from "./targets/target.ts";

/** When it was tried whether a backup is good, ISO 8601, and whether it was. */
export interface Proved {
  readonly at: string;
  readonly ok: boolean;
}

export interface ListedBackup {
  readonly id: string;
  readonly startedAtMs: number;
  readonly bytes: number;
  readonly keys: number;
  readonly partitions: number;
  readonly isConsistent: boolean;
  /** Names of the targets that hold it. */
  readonly targets: readonly string[];
  /** ISO 8601 of the last time that any copy was verified, and whether it was good; null: never. */
  readonly verified: Proved | null;
  /** The same of rehearsals. */
  readonly rehearsed: Proved | null;
}

export interface FoundBackup {
  readonly target: BackupTarget;
  readonly manifest: Manifest;
  readonly startedAtMs: number;
}

export interface Listing {
  readonly backups: readonly ListedBackup[];
  /** Every copy, newest first; of one backup in the order of the targets. */
  readonly copies: readonly FoundBackup[];
  /** Targets that can't be read, and manifests that can't be used. */
  readonly problems: readonly Problem[];
  /** Of those, by backup: it is there, and its manifest can't be used. */
  readonly unusable: ReadonlyMap<string, readonly Problem[]>;
}

export async function listBackups(targets: readonly BackupTarget[]): Promise<Listing> {
  const problems: Problem[] = [];
  const unusable = new Map<string, Problem[]>();
  const copies: FoundBackup[] = [];
  const listed = new Map<string, ListedBackup>();
  for (const target of targets) {
    const stored = await target.list().catch((error: unknown) => {
      problems.push(problemOf(error, target.name));
      return [];
    });
    for (const { id, startedAtMs, manifest: text, notes } of stored) {
      const parsed = parseManifest(text);
      if (parsed.kind === "malformed" || parsed.value.id !== id) {
        const why = parsed.kind === "malformed" ? parsed.why : `it is of ${parsed.value.id}`;
        const problem = {
          code: "MANIFEST_BAD",
          message: `${target.name}, ${id}: its manifest can't be used: ${why}`,
          remedy: "use another backup, or the version of Twine that wrote this one",
        };
        problems.push(problem);
        unusable.set(id, [...(unusable.get(id) ?? []), problem]);
        continue;
      }
      const manifest = parsed.value;
      copies.push({ target, manifest, startedAtMs });
      const known = listed.get(id);
      listed.set(id, {
        ...summaryOf(manifest, startedAtMs),
        targets: [...(known?.targets ?? []), target.name],
        verified: later(known?.verified ?? null, provedIn(notes.get("verified.json"))),
        rehearsed: later(known?.rehearsed ?? null, provedIn(notes.get("rehearsed.json"))),
      });
    }
  }
  const begun = ({ manifest: { id }, startedAtMs }: FoundBackup) => ({ id, startedAtMs });
  return {
    backups: [...listed.values()].toSorted((a, b) => byStart(b, a)),
    copies: copies.toSorted((a, b) => byStart(begun(b), begun(a))),
    problems,
    unusable,
  };
}

function summaryOf(manifest: Manifest, startedAtMs: number) {
  const { id, partitions, isConsistent } = manifest;
  return {
    id,
    startedAtMs,
    bytes: partitions.reduce((sum, { bytes }) => sum + bytes, 0),
    keys: partitions.reduce((sum, { keys }) => sum + keys, 0),
    partitions: partitions.length,
    isConsistent,
  };
}

function provedIn(note: string | undefined): Proved | null {
  if (note === undefined) return null;
  try {
    const value = JSON.parse(note) as { at?: unknown; ok?: unknown } | null;
    const { at, ok } = value ?? {};
    return typeof at === "string" && typeof ok === "boolean" ? { at, ok } : null;
  } catch {
    return null;
  }
}

function later(a: Proved | null, b: Proved | null): Proved | null {
  if (a === null || b === null) return a ?? b;
  return a.at > b.at ? a : b;
}

/** `latest`, an id, or the path of a copy, such as backups/twine-20261130T170405Z-1a2b3c. Copies of one backup alone. */
export function choose(copies: readonly FoundBackup[], which: string): readonly FoundBackup[] {
  const id =
    which === "latest" ? copies[0]?.manifest.id : which.replace(/\/+$/, "").split("/").at(-1);
  return copies.filter(({ manifest }) => manifest.id === id);
}
