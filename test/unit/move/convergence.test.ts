// convergence.test.ts: when following the changes of a resharding ends.
import { expect, test } from "vitest";
import { Convergence } from "../../../runtime/move/reshard/convergence.ts";

/** What it says after each round, and when the last one ended. */
function rounds(roundMs: (round: number) => number): { says: string[]; endMs: number } {
  const convergence = new Convergence(0);
  const says: string[] = [];
  let nowMs = 0;
  do {
    const tookMs = roundMs(says.length);
    nowMs += tookMs;
    says.push(convergence.after(tookMs, nowMs));
  } while (says.at(-1) === "behind" && says.length < 1000);
  return { says, endMs: nowMs };
}

test("rounds that become shorter lead to the switch, however long the first one takes", () => {
  const { says } = rounds((round) => 600_000 / 10 ** round);
  expect(says).toEqual(["behind", "behind", "behind", "behind", "close"]);
});

test("rounds that never become shorter end it within minutes", () => {
  for (const growth of [1, 1.1]) {
    const { says, endMs } = rounds((round) => 5_000 * growth ** round);
    expect(says.at(-1)).toBe("hopeless");
    expect(endMs).toBeGreaterThan(300_000);
    expect(endMs).toBeLessThan(400_000);
  }
});
