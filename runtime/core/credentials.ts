// credentials.ts: one secret, five users. Pure.
// The operator keeps one password. The user app has it as it is; every other user's is derived from it, so that what
// leaks with a health check or a replica's configuration opens nothing else.
import { createHmac } from "node:crypto";

export type RedisUser = "app" | "router" | "monitor" | "replica" | "health";

export interface Credentials {
  readonly username: RedisUser;
  readonly password: string;
}

/** undefined in, undefined out: without a password there is no authentication. */
export function credentialsOf(
  user: RedisUser,
  password: string | undefined,
): Credentials | undefined {
  if (password === undefined) return undefined;
  if (user === "app") return { username: user, password };
  const derived = createHmac("sha256", password).update(`twine:${user}`).digest("hex");
  return { username: user, password: derived };
}
