// users.ts: the users that may log in to a router, with the SHA-256 of their passwords. Pure.
// AUTH with one argument logs in as app, which clients also call default. There are no ACL rules: a user may read and
// write, or only read.
import { createHash, timingSafeEqual } from "node:crypto";
import { APP_USER, type KnownUser } from "../../core/router-users.ts";
import type { Secret } from "../../core/credentials.ts";

/** By name. */
export type Users = ReadonlyMap<string, KnownUser>;

const NOBODY: readonly Buffer[] = [Buffer.alloc(32)];

export function digestOf(password: Buffer | string): Buffer {
  return createHash("sha256").update(password).digest();
}

/** The users of a router; app has the cluster's password. undefined if there are no users: then no login is needed. */
export function usersOf(
  password: Secret | undefined,
  others: readonly KnownUser[] = [],
): Users | undefined {
  const app = password === undefined ? [] : [appUser(password)];
  const users = [...app, ...others];
  if (users.length === 0) return undefined;
  return new Map(users.map((user) => [user.name, user]));
}

/** Its passwords are read at every login, because a password file may have changed. */
function appUser(secret: Secret): KnownUser {
  if (typeof secret === "string") {
    return { name: APP_USER, digests: [digestOf(secret)], isReadOnly: false };
  }
  return {
    name: APP_USER,
    isReadOnly: false,
    get digests() {
      return secret.list().map(digestOf);
    },
  };
}

/** The user with this name and password, or undefined. Takes equally long for an unknown name and a wrong password. */
export function loginOf(
  users: Users,
  name: string | undefined,
  password: Buffer,
): KnownUser | undefined {
  const user = users.get(name === undefined || name === "default" ? APP_USER : name);
  const given = digestOf(password);
  let isRight = false;
  for (const digest of user?.digests ?? NOBODY) {
    isRight = timingSafeEqual(digest, given) || isRight;
  }
  return isRight ? user : undefined;
}
