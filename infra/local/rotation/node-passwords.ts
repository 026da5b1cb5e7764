// node-passwords.ts: which passwords a node's users have, in its memory and in its files. Pure.
// Live: ACL SETUSER with #HASH and !HASH, which drop no connection. Never ACL LOAD (it drops every authenticated connection
// and the replica's link), never ACL SAVE (it rewrites the generated file). The files are edited as text, so all other
// lines, written by twine-setup or an operator, stay.
import { createHash } from "node:crypto";
import { quoteForRedis } from "../../render/render-file.ts";
import { derived, REDIS_USERS, type RedisUser } from "../../../runtime/core/credentials.ts";

export function aclHash(user: RedisUser, password: string): string {
  return createHash("sha256").update(derived(user, password)).digest("hex");
}

/** The rules of ACL SETUSER that leave a user with exactly the `wanted` hashes; new ones first. Empty: no change needed. */
export function passwordRules(has: readonly string[], wanted: readonly string[]): string[] {
  return [
    ...wanted.filter((hash) => !has.includes(hash)).map((hash) => `#${hash}`),
    ...has.filter((hash) => !wanted.includes(hash)).map((hash) => `!${hash}`),
  ];
}

const USER_LINE = /^(user ([a-z]+) on(?: sanitize-payload)?) ((?:#[0-9a-f]{64} )+)/gm;

/** The text of users.acl, with `passwords` for its users. `isDefaultOn`: `default` has those of app. */
export function usersAclWith(
  text: string,
  passwords: readonly string[],
  isDefaultOn = false,
): string {
  return text.replace(USER_LINE, (line, head: string, name: string) => {
    const user =
      name === "default" && isDefaultOn ? "app" : REDIS_USERS.find((known) => known === name);
    if (user === undefined) return line;
    const rules = passwords.map((password) => `#${aclHash(user, password)} `);
    return `${head} ${rules.join("")}`;
  });
}

/** The text of redis.conf, with the first of `passwords` as masterauth. */
export function redisConfWith(text: string, [first = ""]: readonly string[]): string {
  return text.replace(/^masterauth .*$/m, `masterauth ${derived("replica", first)}`);
}

/** The text of sentinel.conf, for a Sentinel that does not run. */
export function sentinelConfWith(text: string, passwords: readonly string[]): string {
  const [first = ""] = passwords;
  return usersAclWith(text, passwords, true)
    .replace(
      /^sentinel sentinel-pass .*$/gm,
      () => `sentinel sentinel-pass ${quoteForRedis(first)}`,
    )
    .replace(
      /^sentinel auth-pass (\S+) .*$/gm,
      (_line, name: string) => `sentinel auth-pass ${name} ${derived("monitor", first)}`,
    );
}
