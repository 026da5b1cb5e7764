// source-place.ts: which system is to be loaded, as it is named on the command line. Pure.
//
//   redis://HOST:PORT/DB  rediss://...  sentinel://HOST:PORT/NAME  cluster://HOST:PORT  path of a nutcracker.yml
import { EXIT, TwineError } from "../../core/errors.ts";
import { addressFrom, type ImportedNode } from "../import/imported.ts";
import { isUrl, requireNoPassword } from "../place-url.ts";

export const SOURCES =
  "redis://HOST:PORT/DB, rediss:// with TLS, sentinel://HOST:PORT/NAME, cluster://HOST:PORT, or the path of a nutcracker.yml";

export type SourcePlace =
  | {
      readonly kind: "redis";
      readonly address: ImportedNode;
      readonly db: number;
      readonly isTls: boolean;
    }
  | { readonly kind: "sentinel"; readonly address: ImportedNode; readonly master: string }
  | { readonly kind: "cluster"; readonly address: ImportedNode }
  | { readonly kind: "nutcracker"; readonly file: string };

const REDIS_PORT = 6379;
const SENTINEL_PORT = 26_379;
const DB_MAX = 99_999;

/** Throws USAGE, URL_SECRET. */
export function parseSource(text: string): SourcePlace {
  requireNoPassword(text, "TWINE_SOURCE_PASSWORD_FILE", SOURCES);
  if (!isUrl(text)) {
    if (text === "") throw bad(text);
    return { kind: "nutcracker", file: text };
  }
  const [, scheme = "", where = "", path = ""] =
    /^(rediss?|sentinel|cluster):\/\/([^/]+)\/?([^/]*)$/.exec(text) ?? [];
  const port = scheme === "sentinel" ? SENTINEL_PORT : REDIS_PORT;
  const address = addressFrom(/:\d+$/.test(where) ? where : `${where}:${port}`);
  if (address === undefined) throw bad(text);
  switch (scheme) {
    case "redis":
    case "rediss": {
      const db = path === "" ? 0 : /^\d{1,5}$/.test(path) ? Number(path) : Number.NaN;
      if (!(db <= DB_MAX)) throw bad(text);
      return { kind: "redis", address, db, isTls: scheme === "rediss" };
    }
    case "sentinel":
      if (path === "") throw bad(text);
      return { kind: "sentinel", address, master: path };
    default:
      if (path !== "") throw bad(text);
      return { kind: "cluster", address };
  }
}

function bad(text: string): TwineError {
  return new TwineError(
    { code: "USAGE", message: `'${text}' can't be read`, remedy: `write ${SOURCES}` },
    { exitCode: EXIT.usage },
  );
}
