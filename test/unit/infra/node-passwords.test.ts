// node-passwords.test.ts: what a rotation changes of a node's users and of its files, and what it leaves.
import { describe, expect, test } from "vitest";
import {
  aclHash,
  passwordRules,
  redisConfWith,
  sentinelConfWith,
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

  test("users.acl: the default user has app's only where Twine gave it to it", () => {
    const text = `user default on #${aclHash("app", "old")} ~* +@all\n`;
    expect(usersAclWith(text, ["new"], true)).toContain(`#${aclHash("app", "new")} `);
    expect(usersAclWith(text, ["new"])).toBe(text);
  });

  test("sentinel.conf: its users, its peers and its masters get the new one, what Sentinel wrote stays", () => {
    const text = (users: string, peer: string, master: string): string =>
      `user default on sanitize-payload ${users} ~* &* +@all\nsentinel sentinel-pass ${peer}\n` +
      `sentinel monitor twine-p0 127.0.0.1 6667 2\nsentinel auth-user twine-p0 monitor\n` +
      `sentinel auth-pass twine-p0 ${derived("monitor", master)}\nsentinel config-epoch twine-p0 7\n`;
    const [old, fresh] = [`#${aclHash("app", "old")}`, `#${aclHash("app", "n$&w")}`];
    expect(sentinelConfWith(text(old, '"old"', "old"), ["n$&w", "old"])).toBe(
      text(`${fresh} ${old}`, '"n$&w"', "n$&w"),
    );
  });

  test("redis.conf: the master is shown the first one, and nothing else changes", () => {
    const text = `port 6379\nmasteruser replica\nmasterauth ${derived("replica", "old")}\nmaxmemory 1gb\n`;
    const changed = redisConfWith(text, ["new", "old"]);
    expect(changed).toBe(text.replace(derived("replica", "old"), derived("replica", "new")));
  });
});
