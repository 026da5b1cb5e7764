// place-url.ts: what all URLs of other systems have in common on the command line. Pure.
import { EXIT, TwineError } from "../core/errors.ts";

export function isUrl(text: string): boolean {
  return text.includes("://");
}

/** Throws URL_SECRET. `variable`: the environment variable for the password; `accepted`: what may be written instead. */
export function requireNoPassword(url: string, variable: string, accepted: string): void {
  if (!isUrl(url) || !url.includes("@")) return;
  throw new TwineError(
    {
      code: "URL_SECRET",
      message: "a password on the command line can be seen by every user of this machine",
      remedy: `let ${variable} name a file with it, and write ${accepted}`,
    },
    { exitCode: EXIT.usage },
  );
}
