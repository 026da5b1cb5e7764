// users.ts: who may log in to a router, by the SHA-256 of their passwords. Pure.
// One-argument AUTH is the user app, whom clients that name nobody call default. There is no rule language: a user may
// do what any program may, or only read.
import { createHash, timingSafeEqual } from "node:crypto";
import { APP_USER, type KnownUser } from "../core/router-users.ts";

/** By name. */
export type Users = ReadonlyMap<string, KnownUser>;

const NOBODY: readonly Buffer[] = [Buffer.alloc(32)];

export function digestOf(password: Buffer | string): Buffer {
  return createHash("sha256").update(password).digest();
}

/** The users of a router, app with the cluster's password among them; undefined when nobody is asked: there is neither. */
export function usersOf(
  password: string | undefined,
  others: readonly KnownUser[] = [],
): Users | undefined {
  const app =
    password === undefined
      ? []
      : [{ name: APP_USER, digests: [digestOf(password)], isReadOnly: false }];
  const users = [...app, ...others];
  if (users.length === 0) return undefined;
  return new Map(users.map((user) => [user.name, user]));
}

/** Whose password it is. Takes as long for an unknown name as for a wrong password. */
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
