import { expect, test } from "vitest";
import type { Accepted } from "../../runtime/register/register.ts";
import { RegisterWatch } from "./register-watch.ts";

function watched() {
  const violations: string[] = [];
  const watch = new RegisterWatch({
    statusNodeCount: 3,
    violation: (text) => violations.push(text),
    onChosen: () => undefined,
  });
  return { watch, violations };
}

/** The view of that revision, first proposed under the ballot of the same number. */
function viewOf(revision: number, heartbeat = revision): Accepted {
  const ballot = { count: revision, proposer: "m1" };
  const body = JSON.stringify({ epoch: 1, revision, alpha: "m1" });
  const value = { body, epoch: 1, revision, heartbeat };
  return { ballot, bodyBallot: ballot, value, members: {} };
}

test("a view whose last vote comes after its successor's is chosen, and not the newest", () => {
  const { watch, violations } = watched();
  watch.vote("s2", viewOf(1));
  watch.vote("s2", viewOf(2));
  watch.vote("s3", viewOf(2));
  expect(watch.chosenView(1, 1)).toBeUndefined();
  watch.vote("s1", viewOf(1));
  expect(watch.chosenView(1, 1)).toBeDefined();
  expect(watch.view?.revision).toBe(2);
  expect(violations).toEqual([]);
});

test("a view with one vote of three is not chosen, and one whose successor knew nothing of it is a fault", () => {
  const { watch, violations } = watched();
  watch.vote("s1", viewOf(1, 9));
  for (const node of ["s2", "s3"]) watch.vote(node, viewOf(2));
  expect(watch.chosenView(1, 1)).toBeUndefined();
  watch.vote("s2", viewOf(1, 9));
  expect(watch.chosenView(1, 1)).toBeUndefined();
  expect(violations).toHaveLength(1);
});
