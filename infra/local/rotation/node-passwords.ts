// node-passwords.ts: which passwords a node's users have, in its memory and in its files. Pure.
// Live: ACL SETUSER with #HASH and !HASH, which drop no connection. Never ACL LOAD (it drops every authenticated connection
// and the replica's link), never ACL SAVE (it rewrites the generated file). The files are edited as text, so all other
// lines, written by twine-setup or an operator, stay.
import { createHash } from "node:crypto";
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

const USER_LINE = /^(user ([a-z]+) on) ((?:#[0-9a-f]{64} )+)/gm;

/** The text of users.acl, with `passwords` for its users. */
export function usersAclWith(text: string, passwords: readonly string[]): string {
  return text.replace(USER_LINE, (line, head: string, name: string) => {
    const user = REDIS_USERS.find((known) => known === name);
    if (user === undefined) return line;
    const rules = passwords.map((password) => `#${aclHash(user, password)} `);
    return `${head} ${rules.join("")}`;
  });
}

/** The text of redis.conf, with the first of `passwords` as masterauth. */
export function redisConfWith(text: string, [first = ""]: readonly string[]): string {
  return text.replace(/^masterauth .*$/m, `masterauth ${derived("replica", first)}`);
}
