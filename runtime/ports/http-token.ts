// http-token.ts: the token of the HTTP ports, if twine.conf names a file with one (http-token FILE).
//
//   Authorization: Bearer TOKEN          Prometheus, curl
//   Authorization: Basic base64(x:TOKEN) browsers: any user, the token as its password
//
// The file is read for each request, so that a changed token takes effect at once.
import { createHash, timingSafeEqual } from "node:crypto";
import { dirname, resolve } from "node:path";
import type { ClusterConfig } from "../core/cluster.ts";
import { TwineError } from "../core/errors.ts";
import { opennessOf, readSmallFile, type SmallFile } from "./small-file.ts";
import { errorText } from "../core/error-text.ts";

const TOKEN_BYTES_MAX = 4096;
/** Shorter tokens can be guessed. */
const TOKEN_CHARS_LEAST = 16;

/**
 * The token in the file that twine.conf names; undefined if it names none.
 * Throws TOKEN_UNREADABLE, TOKEN_OPEN or TOKEN_SHORT.
 */
export function readHttpToken({ settings, file }: ClusterConfig): string | undefined {
  if (settings.httpToken === undefined) return undefined;
  const path = resolve(dirname(file), settings.httpToken);
  let found: SmallFile;
  try {
    found = readSmallFile(path, TOKEN_BYTES_MAX);
  } catch (cause) {
    const why = errorText(cause);
    const remedy =
      "let it name a file with the token on one line; a relative path starts at twine.conf";
    throw new TwineError(
      { code: "TOKEN_UNREADABLE", message: `http-token: ${why}`, remedy },
      { cause },
    );
  }
  const open = opennessOf(path, found.mode);
  if (open !== undefined) {
    throw new TwineError({
      code: "TOKEN_OPEN",
      message: `http-token: ${open}`,
      remedy: `chmod 600 ${path}`,
    });
  }
  const token = found.text.trim();
  if (token.length >= TOKEN_CHARS_LEAST && /^[!-~]+$/.test(token)) return token;
  throw new TwineError({
    code: "TOKEN_SHORT",
    message: `http-token: ${path} has no token of ${TOKEN_CHARS_LEAST} or more printable characters without a space`,
    remedy: `write one: openssl rand -hex 32 > ${path}`,
  });
}

/** Whether this Authorization header has the token. */
export function showsToken(header: string | undefined, token: string): boolean {
  const [, scheme = "", credentials = ""] = /^(\S+) +(\S+)$/.exec(header ?? "") ?? [];
  switch (scheme.toLowerCase()) {
    case "bearer":
      return isSame(credentials, token);
    case "basic": {
      const text = Buffer.from(credentials, "base64").toString("utf8");
      return isSame(text.slice(text.indexOf(":") + 1), token);
    }
    default:
      return false;
  }
}

/** Takes the same time whatever the two have in common. */
function isSame(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
