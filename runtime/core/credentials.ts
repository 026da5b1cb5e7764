// credentials.ts: one secret, six users. Pure.
// The operator has one password. The user app has this password; the passwords of the other users are derived from it. So
// a password that leaks from a health check or a replica's configuration gives no other access.
//
// During a rotation a process has two passwords: it uses the first; servers still accept the other one.
import { createHmac } from "node:crypto";

export const REDIS_USERS = ["app", "router", "monitor", "replica", "health", "rotation"] as const;
export type RedisUser = (typeof REDIS_USERS)[number];

export interface Credentials {
  readonly username: RedisUser;
  readonly password: string;
  /** Used when a server refuses `password`. Present only during a rotation of the password. */
  readonly fallback?: string | undefined;
}

/** Credentials of any user name, also of the default user for programs that know no users. */
export type Login = Omit<Credentials, "username"> & { readonly username: string };

/** The same passwords under Redis's user `default`. */
export function asDefaultUser(credentials: Credentials): Login {
  return {
    username: "default",
    get password() {
      return credentials.password;
    },
    get fallback() {
      return credentials.fallback;
    },
  };
}

/** The accepted passwords; the first is the one to use. Each call of list() reads the current file. */
export interface Passwords {
  list(): readonly string[];
}

/** The operator's secret: a password, or a password file's current content. */
export type Secret = string | Passwords;

/** The accepted passwords; the first is the one to use. Empty without a password. */
export function passwordsOf(secret: Secret | undefined): readonly string[] {
  if (secret === undefined) return [];
  return typeof secret === "string" ? [secret] : secret.list();
}

/** undefined without a secret: then there is no authentication. With a password file, the getters follow the file. */
export function credentialsOf(
  user: RedisUser,
  secret: Secret | undefined,
): Credentials | undefined {
  if (secret === undefined) return undefined;
  if (typeof secret === "string") return { username: user, password: derived(user, secret) };
  return {
    username: user,
    get password() {
      return derived(user, secret.list()[0] ?? "");
    },
    get fallback() {
      const other = secret.list()[1];
      return other === undefined ? undefined : derived(user, other);
    },
  };
}

/** Credentials with the fallback as the only password; undefined without a fallback. */
export function otherCredentials<T extends Login>(
  credentials: T | undefined,
): { readonly username: T["username"]; readonly password: string } | undefined {
  if (credentials?.fallback === undefined) return undefined;
  return { username: credentials.username, password: credentials.fallback };
}

/** The passwords to try at a server, in this order. */
export function attemptsOf({ password, fallback }: Login): readonly string[] {
  return fallback === undefined ? [password] : [password, fallback];
}

/** One user's password. */
export function derived(user: RedisUser, password: string): string {
  if (user === "app") return password;
  return createHmac("sha256", password).update(`twine:${user}`).digest("hex");
}

/** Identifies a password on the status nodes. It reveals no more than a derived password does. */
export function fingerprintOf(password: string): string {
  return createHmac("sha256", password).update("twine:fingerprint").digest("hex").slice(0, 16);
}
