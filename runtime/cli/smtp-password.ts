// smtp-password.ts: the password of alert-smtp's user, from the file that TWINE_SMTP_PASSWORD_FILE names.
import { TwineError } from "../core/errors.ts";
import { readSecret } from "./secret-file.ts";

/** The file's first line; undefined when no file is named. Throws SMTP_PASSWORD_UNREADABLE, SMTP_PASSWORD_OPEN. */
export function readSmtpPassword(env = process.env): string | undefined {
  const text = readSecret("TWINE_SMTP_PASSWORD_FILE", "SMTP_PASSWORD", env);
  if (text === undefined) return undefined;
  const [password = ""] = text.split(/\r?\n/);
  if (password !== "") return password;
  const file = env["TWINE_SMTP_PASSWORD_FILE"] ?? "";
  throw new TwineError({
    code: "SMTP_PASSWORD_UNREADABLE",
    message: `the first line of ${file}, named by TWINE_SMTP_PASSWORD_FILE, is empty`,
    remedy: "write the password on its first line",
  });
}
