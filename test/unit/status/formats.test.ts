import { describe, expect, test } from "vitest";
import { formatOf, STATE_EXIT, STATUS_FORMATS } from "../../../runtime/status/formats.ts";

describe("which format is meant", () => {
  test("summary without a word, json by its flag, else the word", () => {
    expect(formatOf(undefined, false)).toBe("summary");
    expect(formatOf(undefined, true)).toBe("json");
    expect(STATUS_FORMATS.map((name) => formatOf(name, false))).toEqual(STATUS_FORMATS);
    expect(formatOf("json", true)).toBe("json");
  });

  test("an unknown word is a usage error that suggests the nearest", () => {
    expect(() => formatOf("htlm", false)).toThrow(
      "there is no format htlm; did you mean html?\n  remedy: use one of summary, list, xml, html, json",
    );
    expect(() => formatOf("yaml-9", false)).toThrow(/^there is no format yaml-9\n/);
  });

  test("--json beside another format is a clash, not a guess", () => {
    expect(() => formatOf("xml", true)).toThrow("--json conflicts with the format xml");
  });

  test("exit codes are the published ones", () => {
    expect(STATE_EXIT).toEqual({ OK: 0, DEGRADED: 10, HALT: 20 });
  });
});
