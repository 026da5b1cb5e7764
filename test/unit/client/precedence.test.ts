// precedence.test.ts: what is waited for before something else begins, and what is not.
import { expect, test } from "vitest";
import { leave, Precedence } from "../../../runtime/client/own/precedence.ts";

test("what comes after waits for all that entered before, and for nothing that entered later", () => {
  const precedence = new Precedence();
  const ran: string[] = [];
  precedence.afterAll(() => ran.push("at once"));
  expect(ran).toEqual(["at once"]);
  const [first, second] = [precedence.enter(), precedence.enter()];
  precedence.afterAll(() => ran.push("after two"));
  const third = precedence.enter();
  precedence.afterAll(() => ran.push("after three"));
  const fourth = precedence.enter();
  leave(third);
  leave(first);
  expect(ran).toEqual(["at once"]);
  leave(second);
  expect(ran).toEqual(["at once", "after two", "after three"]);
  leave(fourth);
  precedence.afterAll(() => ran.push("at once again"));
  expect(ran.at(-1)).toBe("at once again");
});

test("two that wait for the same run in the order in which they asked", () => {
  const precedence = new Precedence();
  const ran: number[] = [];
  const group = precedence.enter();
  for (const number of [1, 2, 3]) precedence.afterAll(() => ran.push(number));
  expect(ran).toEqual([]);
  leave(group);
  expect(ran).toEqual([1, 2, 3]);
});

test("what enters while those that waited run is not theirs to wait for", () => {
  const precedence = new Precedence();
  const ran: string[] = [];
  const group = precedence.enter();
  precedence.afterAll(() => {
    precedence.enter();
    precedence.afterAll(() => ran.push("inner"));
    ran.push("outer");
  });
  leave(group);
  expect(ran).toEqual(["outer"]);
});
