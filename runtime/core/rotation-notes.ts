// rotation-notes.ts: reads the rotation notes of all hosts from the status nodes and derives the rotation's phase. Pure.
import { compareNames } from "./natural-order.ts";
import type { RotationNote } from "./rotation.ts";
import { readEntry } from "./shared-entries.ts";
import type { RotationView } from "./view.ts";

export interface NumberedNote {
  readonly sequence: number;
  readonly note: RotationNote;
}

/** The newest valid note of each host. `copies`: for each status node its list of [host, entry]. */
export function newestRotationNotes(
  copies: readonly (readonly (readonly [string, string])[])[],
): Map<string, NumberedNote> {
  const newest = new Map<string, NumberedNote>();
  for (const [host, text] of copies.flat()) {
    const entry = readEntry("rotation", host, text);
    if (typeof entry === "string" || entry.sequence < (newest.get(host)?.sequence ?? 0)) continue;
    newest.set(host, { sequence: entry.sequence, note: JSON.parse(entry.json) as RotationNote });
  }
  return newest;
}

/** The rotation in progress; undefined if there is none. `known`: the rotation in the view so far. */
export function rotationUnderWay(
  hosts: readonly string[],
  notes: ReadonlyMap<string, RotationNote>,
  known?: RotationView,
): RotationView | undefined {
  const own = hosts.flatMap((host) => notes.get(host) ?? []);
  const targets = own.flatMap(({ target }) => target ?? []);
  const single = own.filter(({ passwords }) => passwords.length === 1);
  const firsts = new Set(single.map(({ passwords }) => passwords[0]));
  // A host without a note proves nothing: it may be a new host.
  const isUnderWay = targets.length > 0 || firsts.size > 1;
  if (!isUnderWay) return undefined;
  const newest = own.toSorted((a, b) => (a.at < b.at ? 1 : -1));
  const target = targets[0] ?? newest[0]?.passwords[0];
  if (target === undefined) return undefined;
  const isAborting = own.some(({ intent }) => intent === "abort");
  const named = (isIn: (note: RotationNote | undefined) => boolean): string[] =>
    hosts.filter((host) => isIn(notes.get(host))).toSorted(compareNames);
  const without = named((note) => note?.passwords.includes(target) !== true);
  const isNew = (note: RotationNote | undefined): boolean => note?.passwords[0] === target;
  const finished = named((note) => note?.passwords.length === 1 && isNew(note));
  const phase = isAborting
    ? "aborting"
    : finished.length > 0
      ? "finishing"
      : without.length > 0 || !hosts.every((host) => isNew(notes.get(host)))
        ? "rotating"
        : "both";
  const since = known?.target === target ? known.since : oldest(own);
  return { target, phase, since, without, finished };
}

function oldest(notes: readonly RotationNote[]): string {
  return notes.map(({ at }) => at).toSorted()[0] ?? "";
}
