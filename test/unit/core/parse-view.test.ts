// parse-view.test.ts: views as status nodes hold them, of this version and of the previous one.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { builtinHashing } from "../../../runtime/core/hashing.ts";
import { parseView, readView } from "../../../runtime/core/parse-view.ts";

/** Recorded from a cluster under the version that wrote the hashing as a sentence. */
const RECORDED = readFileSync(
  new URL("../../cases/view-of-previous-version.txt", import.meta.url),
  "utf8",
);

test("a view of the previous version is read, and its hashing is what the sentence meant", () => {
  const view = parseView(RECORDED);
  const hash = { kind: "builtin", name: "crc32" } as const;
  expect(view.hashing).toEqual(builtinHashing({ hash, partitions: 2, hashTag: "{}" }));
  const recorded = JSON.parse(RECORDED) as Record<string, unknown>;
  expect({ ...view, hashing: recorded["hashing"] }).toEqual(recorded);
});

test("what this version writes it reads back as the same", () => {
  const view = parseView(RECORDED);
  expect(parseView(JSON.stringify(view))).toEqual(view);
});

test.each([
  ["hashing", 5, "hashing is not an object"],
  ["hashing", "by no words of ours", "hashing is not a hashing that this version knows"],
  [
    "hashing",
    { kind: "builtin", name: "crc32", tag: "{}", partitions: 2 },
    "hashing.fingerprint is missing",
  ],
  ["nodes", [null], "nodes[0] is not an object"],
  ["partitions", {}, "partitions is not a list"],
  ["epoch", -1, "epoch is not a whole number of at least 0"],
  ["malformed", [{}], "malformed[0].node is missing"],
])("a view whose %s is %j is malformed", (field, value, why) => {
  const body = JSON.stringify({ ...(JSON.parse(RECORDED) as object), [field]: value });
  expect(readView(body)).toMatchObject({ kind: "malformed", why });
});
