// router-users.ts: the lines of a users file, and the users that they name. Pure.
// In the core because two rooms read it: a router, and whoever brings one up in a container and tells of a wrong line first.
//
//   # NAME  SHA-256 [SHA-256] [read-only]         sha256sum of the password, without a line's end
//   reports 5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8 read-only
//
// Two passwords are one that is being replaced by the other.
import type { Problem } from "./errors.ts";

export interface KnownUser {
  readonly name: string;
  /** SHA-256 of the passwords, any of which opens: two while one is being replaced. */
  readonly digests: readonly Buffer[];
  readonly isReadOnly: boolean;
}

/** Who has the cluster's password. */
export const APP_USER = "app";

const NAME = /^[A-Za-z0-9._-]{1,64}$/;
const DIGEST = /^[0-9a-fA-F]{64}$/;
const READ_ONLY = "read-only";
const SHAPE = "write NAME, the SHA-256 of the password in 64 hex digits, and perhaps read-only";

export interface ParsedUsers {
  readonly users: readonly KnownUser[];
  readonly errors: readonly Problem[];
}

/** Reads the text of a users file; `file` only names it in places. `hasPassword`: app has the cluster's. */
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
      const remedy = "use 1 to 64 letters, digits, dots, underscores and hyphens; default is app";
      complain("USERS_BAD_NAME", name.index, message, remedy);
    } else if (users.has(name[0])) {
      const message = `the user ${name[0]} stands here twice`;
      complain("USERS_TWICE", name.index, message, "keep one line, with both passwords if need be");
    } else if (name[0] === APP_USER && hasPassword) {
      const message = `${APP_USER} has the cluster's password, and another one here`;
      const remedy = "leave the line out, or run without TWINE_PASSWORD_FILE";
      complain("USERS_APP", name.index, message, remedy);
    } else if (odd !== undefined) {
      // The word itself isn't shown: it may be a password.
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
