import { describe, expect, test } from "vitest";
import { matchesGlob } from "../../../runtime/core/glob.ts";
import { Subscriptions } from "../../../runtime/monitor/sentinel/subscriptions.ts";

describe("patterns", () => {
  test.each([
    ["*", "+switch-master", true],
    ["[-+]sdown", "-sdown", true],
    ["[-+]sdown", "+sdown", true],
    ["[-+]sdown", "*sdown", false],
    ["[^-]sdown", "+sdown", true],
    ["[^-]sdown", "-sdown", false],
    ["[a-c]?", "bz", true],
    ["[c-a]?", "bz", true],
    ["[a-c]?", "dz", false],
    ["+s*-m*r", "+switch-master", true],
    ["+s*-m*t", "+switch-master", false],
    ["\\*x", "*x", true],
    ["\\*x", "ax", false],
    ["[\\]]", "]", true],
    ["", "", true],
    ["", "a", false],
    ["a", "", false],
    ["a*", "a", true],
    ["[a", "a", true],
    ["?", "", false],
  ])("%s on %s: %s", (pattern, text, fits) => {
    expect(matchesGlob(pattern, text)).toBe(fits);
  });

  test("many stars cost no more than pattern times text", () => {
    // Trying every star anew would take longer than this machine will last.
    expect(matchesGlob("*a".repeat(500) + "b", "a".repeat(4000))).toBe(false);
  });
});

describe("subscriptions", () => {
  const names = (...texts: string[]): Buffer[] => texts.map((text) => Buffer.from(text));

  test("count over channels and patterns, in arrays or pushes", () => {
    const one = new Subscriptions();
    expect(one.change("subscribe", names("a", "b"), 2).toString()).toBe(
      "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n",
    );
    expect(one.change("psubscribe", names("c*"), 3).toString()).toBe(
      ">3\r\n$10\r\npsubscribe\r\n$2\r\nc*\r\n:3\r\n",
    );
    expect(one.change("unsubscribe", [], 3).toString()).toContain(":1\r\n");
    expect(one.change("unsubscribe", [], 3).toString()).toBe(
      ">3\r\n$11\r\nunsubscribe\r\n_\r\n:1\r\n",
    );
    expect(one.change("punsubscribe", names("c*"), 2).toString()).toContain(":0\r\n");
  });

  test("a message is heard once for its channel and once for every pattern", () => {
    const one = new Subscriptions();
    one.change("subscribe", names("+sdown"), 2);
    one.change("psubscribe", names("[-+]sdown", "-*"), 2);
    expect(one.hear({ channel: "+sdown", message: "m" }, 2).toString()).toBe(
      "*3\r\n$7\r\nmessage\r\n$6\r\n+sdown\r\n$1\r\nm\r\n" +
        "*4\r\n$8\r\npmessage\r\n$9\r\n[-+]sdown\r\n$6\r\n+sdown\r\n$1\r\nm\r\n",
    );
    expect(one.hear({ channel: "+slave", message: "m" }, 2)).toHaveLength(0);
  });

  test("a client can't subscribe without end", () => {
    const one = new Subscriptions();
    one.change(
      "subscribe",
      Array.from({ length: 1024 }, (_, index) => Buffer.from(`${index}`)),
      2,
    );
    expect(one.change("subscribe", names("one more"), 2).toString()).toMatch(/^-ERR twine: more/);
    expect(one.count).toBe(1024);
  });
});
