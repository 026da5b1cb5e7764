// way-back-text.test.ts: the end of a resharding as an exit code and in words.
import { expect, test } from "vitest";
import { endCode, endText } from "../../../runtime/move/reshard/way-back-text.ts";

test("a script sees whether the new partitions serve: 0 they do, 3 the old ones do, 1 nobody knows", () => {
  expect(endCode(undefined)).toBe(0);
  for (const kind of ["over", "interrupted", "lost"] as const) expect(endCode({ kind })).toBe(0);
  expect(endCode({ kind: "returned" })).toBe(3);
  expect(endCode({ kind: "unknown" })).toBe(1);
});

test("only where the new partitions serve is twine-apply the next step", () => {
  const next = "twine-apply";
  expect(endText(undefined, "NEW.conf")).toContain(next);
  for (const kind of ["over", "interrupted", "lost"] as const) {
    expect(endText({ kind, why: "a node died" }, "NEW.conf")).toContain(next);
  }
  for (const kind of ["returned", "unknown"] as const) {
    expect(endText({ kind, why: "no answer" }, "NEW.conf")).not.toContain(next);
  }
});
