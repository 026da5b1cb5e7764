// hand-edit.test.ts: a file that a person touched is theirs.
import { describe, expect, test } from "vitest";
import { decideFile, digestOf, parseGenerated } from "../../../infra/local/files/hand-edit.ts";

const OLD = "port 1\n";
const NEW = "port 2\n";
const EDITED = "port 1\nmaxmemory 1gb\n";

function decide(existing: string | undefined, overwrite = false): string {
  return decideFile({ wanted: NEW, existing, remembered: [digestOf(OLD)], overwrite });
}

describe("a generated file", () => {
  test("that is missing is written", () => {
    expect(decide(undefined)).toBe("write");
  });

  test("that is as it should be is left alone", () => {
    expect(decide(NEW)).toBe("same");
  });

  test("that is as it was generated before is written anew", () => {
    expect(decide(OLD)).toBe("write");
  });

  test("that a person edited is kept", () => {
    expect(decide(EDITED)).toBe("edited");
  });

  test("that a person edited is replaced when asked for", () => {
    expect(decide(EDITED, true)).toBe("write");
  });

  test("of which nothing is remembered counts as edited", () => {
    const decision = decideFile({ wanted: NEW, existing: OLD, remembered: [], overwrite: false });
    expect(decision).toBe("edited");
  });
});

describe("what is remembered", () => {
  test("comes back as it was written", () => {
    const generated = { "a/redis.conf": [digestOf(OLD), digestOf(NEW)] };
    expect(parseGenerated(JSON.stringify(generated))).toEqual(generated);
  });

  test.each([[undefined], ["{"], ["[]"], ["null"], ['{"a": 1}']])(
    "is nothing when the record says %j",
    (text) => {
      expect(parseGenerated(text)).toEqual({});
    },
  );
});
