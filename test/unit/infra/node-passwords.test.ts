// node-passwords.test.ts: what a rotation changes of a node's users and of its files, and what it leaves.
import { describe, expect, test } from "vitest";
import {
  aclHash,
  passwordRules,
  redisConfWith,
  usersAclWith,
} from "../../../infra/local/rotation/node-passwords.ts";
import { derived } from "../../../runtime/core/credentials.ts";

describe("rules for one user", () => {
  test("add what is missing before they remove what is not wanted", () => {
    expect(passwordRules(["old"], ["old", "new"])).toEqual(["#new"]);
    expect(passwordRules(["old", "new"], ["new"])).toEqual(["!old"]);
    expect(passwordRules(["odd"], ["new"])).toEqual(["#new", "!odd"]);
    expect(passwordRules(["new"], ["new"])).toEqual([]);
  });
});

describe("files", () => {
  const line = (user: "app" | "monitor", ...passwords: string[]): string =>
    `user ${user} on ${passwords.map((each) => `#${aclHash(user, each)}`).join(" ")} ~* +@all`;
  const byHand = `user guest on #${"a".repeat(64)} ~* +get`;

  test("users.acl: Twine's users get both passwords and keep their rules; others stay as they are", () => {
    const text = ["user default off", line("app", "old"), line("monitor", "old"), byHand, ""];
    const both = usersAclWith(text.join("\n"), ["new", "old"]);
    expect(both.split("\n")).toEqual([
      ...["user default off", line("app", "new", "old"), line("monitor", "new", "old")],
      ...[byHand, ""],
    ]);
    expect(usersAclWith(both, ["new"]).split("\n")[1]).toBe(line("app", "new"));
  });

  test("redis.conf: the master is shown the first one, and nothing else changes", () => {
    const text = `port 6379\nmasteruser replica\nmasterauth ${derived("replica", "old")}\nmaxmemory 1gb\n`;
    const changed = redisConfWith(text, ["new", "old"]);
    expect(changed).toBe(text.replace(derived("replica", "old"), derived("replica", "new")));
  });
});
