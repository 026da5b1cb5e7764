// router-users.ts: parses the lines of a users file. Pure.
// It is in core because two parts use it: the router, and the code that starts a router in a container and checks the
// file first.
//
//   # NAME  SHA-256 [SHA-256] [read-only]         sha256sum of the password, without a newline
//   reports 5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8 read-only
//
// Two passwords: one of them is being replaced by the other.
import type { Problem } from "./errors.ts";

export interface KnownUser {
  readonly name: string;
  /** SHA-256 of the accepted passwords: two while one is being replaced. */
  readonly digests: readonly Buffer[];
  readonly isReadOnly: boolean;
}

/** The user with the cluster's password. */
export const APP_USER = "app";

const NAME = /^[A-Za-z0-9._-]{1,64}$/;
const DIGEST = /^[0-9a-fA-F]{64}$/;
const READ_ONLY = "read-only";
const SHAPE = "write NAME, the SHA-256 of the password in 64 hex digits, and perhaps read-only";

export interface ParsedUsers {
  readonly users: readonly KnownUser[];
  readonly errors: readonly Problem[];
}

/** Parses a users file. `file` is used in error locations. `hasPassword`: the user app has the cluster's password. */
export function parseUsers(text: string, file: string, hasPassword: boolean): ParsedUsers {
  const users = new Map<string, KnownUser>();
  const errors: Problem[] = [];
  text.split(/\r?\n/).forEach((line, index) => {
    const words = [...line.replace(/(^|\s)#.*$/, "").matchAll(/\S+/g)];
    const [name, ...rest] = words;
    if (name === undefined) return;
    const complain = (code: string, column: number, message: string, remedy: string): void => {
      errors.push({ code, message, at: { file, line: index + 1, column: column + 1 }, remedy });
    };
    const isReadOnly = rest.at(-1)?.[0] === READ_ONLY;
    const digests = isReadOnly ? rest.slice(0, -1) : rest;
    const odd = digests.find(([word]) => !DIGEST.test(word));
    if (!NAME.test(name[0]) || name[0] === "default") {
      const message = `'${name[0]}' can't be the name of a user`;
      const remedy =
        "use 1 to 64 letters, digits, dots, underscores and hyphens; for clients that log in as default write app";
      complain("USERS_BAD_NAME", name.index, message, remedy);
    } else if (users.has(name[0])) {
      const message = `user ${name[0]} is listed twice`;
      complain(
        "USERS_TWICE",
        name.index,
        message,
        "keep one line; it may have the SHA-256 of two passwords",
      );
    } else if (name[0] === APP_USER && hasPassword) {
      const message = `user ${APP_USER} has another password here than the cluster's`;
      const remedy = "leave the line out, or run without TWINE_PASSWORD_FILE";
      complain("USERS_APP", name.index, message, remedy);
    } else if (odd !== undefined) {
      // The word itself is not shown: it may be a password.
      const message = `user ${name[0]}: this is no SHA-256`;
      complain("USERS_BAD_DIGEST", odd.index, message, SHAPE);
    } else if (digests.length === 0) {
      complain(
        "USERS_NO_PASSWORD",
        line.trimEnd().length,
        `user ${name[0]} has no password`,
        SHAPE,
      );
    } else {
      const bytes = digests.map(([word]) => Buffer.from(word, "hex"));
      users.set(name[0], { name: name[0], digests: bytes, isReadOnly });
    }
  });
  return { users: [...users.values()], errors };
}
