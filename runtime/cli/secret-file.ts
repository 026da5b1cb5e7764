// secret-file.ts: reads a file with a secret that an environment variable names.
import { TwineError } from "../core/errors.ts";
import { opennessOf, readSmallFile, type SmallFile } from "../ports/small-file.ts";
import { errorText } from "../core/error-text.ts";

const SECRET_BYTES_MAX = 4096;

/**
 * The text; undefined when the variable is unset or empty. `variable`: its name in `env`, or the name of an option. Throws
 * `${code}_UNREADABLE`, and `${code}_OPEN` for a file that other users may read or change.
 */
export function readSecret(
  variable:
    `TWINE_${"" | "SMTP_" | "SOURCE_" | "TARGET_" | "SENTINEL_"}PASSWORD_FILE` | "--new-file",
  code: `${"" | "SMTP_" | "SOURCE_" | "TARGET_" | "SENTINEL_"}PASSWORD`,
  env: NodeJS.ProcessEnv,
): string | undefined {
  const path = env[variable];
  if (path === undefined || path === "") return undefined;
  let file: SmallFile;
  try {
    file = readSmallFile(path, SECRET_BYTES_MAX);
  } catch (cause) {
    const why = errorText(cause);
    throw new TwineError(
      {
        code: `${code}_UNREADABLE`,
        message: `${variable}: ${why}`,
        remedy: `let ${variable} name a readable file that holds the password on one line`,
      },
      { cause },
    );
  }
  const open = opennessOf(path, file.mode);
  if (open === undefined) return file.text;
  throw new TwineError({
    code: `${code}_OPEN`,
    message: `${variable}: ${open}`,
    remedy: `chmod 600 ${path}`,
  });
}
