// smtp-password.ts: the password of alert-smtp's user, from the file that TWINE_SMTP_PASSWORD_FILE names.
import { readFileSync } from "node:fs";
import { TwineError } from "../core/errors.ts";

/** The file's first line; undefined when no file is named. Throws SMTP_PASSWORD_UNREADABLE. */
export function readSmtpPassword(env = process.env): string | undefined {
  const file = env["TWINE_SMTP_PASSWORD_FILE"];
  if (file === undefined || file === "") return undefined;
  try {
    const [password = ""] = readFileSync(file, "utf8").split(/\r?\n/);
    if (password !== "") return password;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw unreadable(`TWINE_SMTP_PASSWORD_FILE: ${why}`, cause);
  }
  throw unreadable(`the first line of ${file}, named by TWINE_SMTP_PASSWORD_FILE, is empty`);
}

function unreadable(message: string, cause?: unknown): TwineError {
  const remedy = "let it name a readable file that holds the password on its first line";
  return new TwineError({ code: "SMTP_PASSWORD_UNREADABLE", message, remedy }, { cause });
}
