// words.ts: the progress of each host in a rotation, as text. Pure.
import { compareNames } from "../../../runtime/core/natural-order.ts";
import type { RotationNote } from "../../../runtime/core/rotation.ts";

export interface HostLine {
  readonly host: string;
  readonly text: string;
  readonly note: RotationNote | null;
}

export function hostLines(
  hosts: readonly string[],
  notes: ReadonlyMap<string, RotationNote>,
): HostLine[] {
  return hosts.toSorted(compareNames).map((host) => {
    const note = notes.get(host) ?? null;
    return { host, text: note === null ? "never took part in a rotation" : wordsOf(note), note };
  });
}

function wordsOf({ passwords, target, intent, at }: RotationNote): string {
  const [first, second] = passwords;
  const since = `since ${at}`;
  const going = intent === null ? "" : intent === "finish" ? "; finishing" : "; being taken back";
  if (second === undefined) {
    return target === null || target === first
      ? `one password ${since}${going}`
      : `the old password alone, left out ${since}`;
  }
  const used = first === target ? "the new one" : "the old one";
  return `accepts both passwords and uses ${used}, ${since}${going}`;
}
