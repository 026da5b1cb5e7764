// begin-restore.test.ts: a restore that is asked for while a partition gets another master, as just after twine-start.
import { describe, expect, test } from "vitest";
import { beginRestore } from "../../../runtime/backup/restore/begin-restore.ts";
import { TwineError } from "../../../runtime/core/errors.ts";
import type { View } from "../../../runtime/core/view.ts";
import { systemClock } from "../../../runtime/ports/clock.ts";

/** An alpha that refuses so long, and the views that are read meanwhile: how often it was asked, and what came of it. */
async function begun(refusals: number, moving: readonly boolean[]) {
  let nowMs = 0;
  let asked = 0;
  let looked = 0;
  const outcome = await beginRestore({
    clock: {
      ...systemClock,
      nowMs: () => nowMs,
      delay: (ms) => Promise.resolve(void (nowMs += ms)),
    },
    ask: () => {
      const refused = new TwineError({ code: "REFUSED", message: "the alpha refused: it moves" });
      return ++asked > refusals ? Promise.resolve() : Promise.reject(refused);
    },
    readView: () => {
      const promoting = (moving[looked++] ?? moving.at(-1)) === true ? "a1" : null;
      return Promise.resolve({ partitions: [{ promoting }] } as unknown as View);
    },
    signal: new AbortController().signal,
    withinMs: 1000,
  }).then(
    () => "begun",
    (error: unknown) => (error as Error).message,
  );
  return { outcome, asked };
}

describe("a refused begin", () => {
  test("is asked again while a partition gets a master, and once more when it has one by then", async () => {
    expect(await begun(3, [true])).toEqual({ outcome: "begun", asked: 4 });
    expect(await begun(3, [true, true, false])).toEqual({ outcome: "begun", asked: 4 });
    expect(await begun(1, [false])).toEqual({ outcome: "begun", asked: 2 });
  });

  test("ends the restore for any other reason, and when no master comes", async () => {
    const refused = "the alpha refused: it moves";
    expect(await begun(Infinity, [false])).toEqual({ outcome: refused, asked: 2 });
    expect(await begun(Infinity, [true])).toEqual({ outcome: refused, asked: 12 });
  });
});
