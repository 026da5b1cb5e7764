import type { ArchiveState } from "../../../runtime/core/archive-state.ts";
import { expect, test } from "vitest";
import { archiveView } from "../../../runtime/monitor/decide/views/archive-view.ts";

const RULE = { backupArchive: "yes", backupCutEveryMs: 10_000 } as const;
const at = (second: number): string => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString();
const GOOD: ArchiveState = {
  ...{ storedTo: at(9), lastCutAt: at(9), lagMs: 12, lagBytes: 4321 },
  ...{ gapAt: null, gapWhy: "", noBase: "", failed: "" },
};

test("nothing is shown where no archive is asked for", () => {
  expect(archiveView(undefined, GOOD, {}, at(10))).toBeUndefined();
  expect(archiveView(undefined, GOOD, { backupArchive: "no" }, at(10))).toBeUndefined();
});

test("what changes every second changes the view once a minute, and a lag only when it counts", () => {
  const first = archiveView(undefined, GOOD, RULE, at(10));
  expect(first).toEqual({ since: at(10), lastCutAt: at(9), lagSeconds: 0, lagBytes: 0 });
  const later = archiveView(first, { ...GOOD, lastCutAt: at(60), lagMs: 1999 }, RULE, at(61));
  expect(later).toEqual(first);
  expect(archiveView(first, { ...GOOD, lastCutAt: at(69) }, RULE, at(70))?.lastCutAt).toBe(at(69));
  const behind = archiveView(first, { ...GOOD, lagMs: 41_000 }, RULE, at(50));
  expect(behind).toMatchObject({ lagSeconds: 50, lagBytes: 5000 });
});

test("a gap, what fails and what needs a backup are shown while they last", () => {
  const gapWhy = "x".repeat(1000);
  const bad = { ...GOOD, gapAt: at(5), gapWhy, noBase: "backups: none", failed: "other: full" };
  const shown = archiveView(undefined, bad, RULE, at(10));
  expect(shown).toMatchObject({ gapAt: at(5), noBase: "backups: none", failed: "other: full" });
  expect(shown?.gapWhy).toHaveLength(400);
  const mended = archiveView(shown, GOOD, RULE, at(11));
  expect(mended).toEqual({ since: at(10), lastCutAt: at(9), lagSeconds: 0, lagBytes: 0 });
});

test("no new cut for some minutes is late, whether an archiver says so or none speaks", () => {
  const first = archiveView(undefined, GOOD, RULE, at(10));
  expect(archiveView(first, GOOD, RULE, at(9 + 120))?.isLate).toBeUndefined();
  expect(archiveView(first, GOOD, RULE, at(9 + 121))?.isLate).toBe(true);
  const silent = archiveView(first, undefined, RULE, at(9 + 121));
  expect(silent).toMatchObject({ lastCutAt: at(9), isLate: true });
  expect(
    archiveView(silent, { ...GOOD, lastCutAt: at(130) }, RULE, at(131))?.isLate,
  ).toBeUndefined();
});
