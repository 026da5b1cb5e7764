// rotation-notes.test.ts: what the notes of all hosts add up to, as the view shows it.
import { describe, expect, test } from "vitest";
import { newestRotationNotes, rotationUnderWay } from "../../../runtime/core/rotation-notes.ts";
import type { RotationNote } from "../../../runtime/core/rotation.ts";

const HOSTS = ["db1", "db2"];

function note(more: Partial<RotationNote> & Pick<RotationNote, "passwords">): RotationNote {
  return { target: null, intent: null, at: "2026-12-01T03:00:00Z", ...more };
}

function seen(...notes: (RotationNote | undefined)[]) {
  const all = notes.flatMap((each, index) =>
    each === undefined ? [] : [[HOSTS[index] ?? "", each] as const],
  );
  return rotationUnderWay(HOSTS, new Map(all));
}

describe("a rotation under way", () => {
  const old = note({ passwords: ["o"] });
  const both = note({ passwords: ["o", "n"], target: "n" });
  const used = note({ passwords: ["n", "o"], target: "n" });
  const done = note({ passwords: ["n"] });

  test.each([
    ["before the first", [undefined, undefined], undefined],
    ["after one", [done, done], undefined],
    ["a host was added after one", [done, undefined], undefined],
    ["one host has begun", [both, undefined], ["rotating", ["db2"]]],
    ["one host is ahead", [used, both], ["rotating", []]],
    ["all use the new one", [used, used], ["both", []]],
    ["one has finished", [done, used], ["finishing", []]],
    ["one is taken back", [{ ...used, intent: "abort" as const }, used], ["aborting", []]],
    ["one never took part", [{ ...done, at: "2026-12-02T03:00:00Z" }, old], ["finishing", ["db2"]]],
  ])("%s", (_name, notes, expected) => {
    const view = seen(...notes);
    expect(view && [view.phase, view.without]).toEqual(expected);
  });
});

describe("copies on the status nodes", () => {
  test("of each host the newest counts, and what is malformed does not", () => {
    const text = (sequence: number, passwords: string[]): [string, string] => [
      "db1",
      `${sequence} ${JSON.stringify(note({ passwords }))}`,
    ];
    const copies = [[text(2, ["n"])], [text(1, ["o"])], [["db1", "9 {}"]]] as [string, string][][];
    expect(newestRotationNotes(copies).get("db1")?.note.passwords).toEqual(["n"]);
  });
});
