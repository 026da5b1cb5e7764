// names.test.ts: many nodes in few words.
import { expect, test } from "vitest";
import { namesOf } from "../../../infra/local/files/names.ts";

test("few names are listed in a person's order, many are cut short, none is nothing", () => {
  expect(namesOf(["a10", "a2", "a1"])).toBe("a1, a2, a10");
  const many = Array.from({ length: 25 }, (_, index) => `a${index + 1}`);
  expect(namesOf(many)).toMatch(/^a1, a2, .*, a20 and 5 more$/);
  expect(namesOf([])).toBe("nothing");
});
