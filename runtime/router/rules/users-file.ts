// users-file.ts: the users of routers besides app: a file of its own, because twine.conf holds no secrets.
// What may stand in it: core/router-users.ts. It may be read by its owner and its group alone: what is hashed only once is
// guessed quickly.
import { readFile, stat } from "node:fs/promises";
import { EXIT, TwineError } from "../../core/errors.ts";
import { parseUsers, type KnownUser } from "../../core/router-users.ts";

/** What others than owner and group may do, and what the group may change. */
const TOO_OPEN = 0o027;

/** The users of `file`. Throws TwineError USERS_UNREADABLE, USERS_OPEN, or all errors in its lines. */
export async function readUsers(file: string, hasPassword: boolean): Promise<readonly KnownUser[]> {
  let text: string;
  let mode: number;
  try {
    text = await readFile(file, "utf8");
    ({ mode } = await stat(file));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TwineError(
      {
        code: "USERS_UNREADABLE",
        message: `users-file: ${why}`,
        remedy: "let it name a file that the router may read; a relative path starts at twine.conf",
      },
      { exitCode: EXIT.failure, cause },
    );
  }
  if ((mode & TOO_OPEN) !== 0) {
    throw new TwineError({
      code: "USERS_OPEN",
      message: `users-file ${file} has the mode ${(mode & 0o777).toString(8)}: others may read or change it`,
      remedy: `chmod 600 ${file}`,
    });
  }
  const { users, errors } = parseUsers(text, file, hasPassword);
  if (errors.length > 0) throw new TwineError(errors);
  return users;
}
