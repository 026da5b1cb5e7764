// users-file.ts: reads the users of routers besides app. They are in a separate file, because twine.conf has no secrets.
// The format is in core/router-users.ts. Only its owner and its group may read it, because a password hashed only once
// can be guessed quickly.
import { EXIT, TwineError } from "../../core/errors.ts";
import { parseUsers, type KnownUser } from "../../core/router-users.ts";
import { opennessOf, readSmallFile } from "../../ports/small-file.ts";
import { errorText } from "../../core/error-text.ts";

/** Enough for a hundred thousand users. */
const USERS_BYTES_MAX = 16 * 1024 * 1024;

/** The users of `file`. Throws a TwineError: USERS_UNREADABLE, USERS_OPEN, or all errors in its lines. */
export function readUsers(file: string, hasPassword: boolean): readonly KnownUser[] {
  let text: string;
  let mode: number;
  try {
    ({ text, mode } = readSmallFile(file, USERS_BYTES_MAX));
  } catch (cause) {
    const why = errorText(cause);
    throw new TwineError(
      {
        code: "USERS_UNREADABLE",
        message: `users-file: ${why}`,
        remedy: "let it name a file that the router may read; a relative path starts at twine.conf",
      },
      { exitCode: EXIT.failure, cause },
    );
  }
  const open = opennessOf(file, mode);
  if (open !== undefined) {
    throw new TwineError({
      code: "USERS_OPEN",
      message: `users-file ${open}`,
      remedy: `chmod 600 ${file}`,
    });
  }
  const { users, errors } = parseUsers(text, file, hasPassword);
  if (errors.length > 0) throw new TwineError(errors);
  return users;
}
