// programs.ts: where nutcracker is, and how it is kept from outliving us. Debian puts it into /usr/sbin, which is not in every
// user's PATH.
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { TwineError } from "../core/errors.ts";

const SYSTEM_FOLDERS = [
  "/usr/local/sbin",
  "/usr/local/bin",
  "/usr/sbin",
  "/usr/bin",
  "/sbin",
  "/bin",
];

/** Absolute; undefined: there is none. `path` as in the environment's PATH. */
export function findProgram(name: string, path: string): string | undefined {
  return [...path.split(delimiter), ...SYSTEM_FOLDERS]
    .filter((folder) => folder !== "")
    .map((folder) => join(folder, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** nutcracker, so that it ends when this process does, whatever ends it. Throws NUTCRACKER_MISSING. */
export function nutcrackerProgram(path: string): string[] {
  const nutcracker = findProgram("nutcracker", path);
  if (nutcracker === undefined) throw nutcrackerMissing();
  const setpriv = findProgram("setpriv", path);
  return setpriv === undefined ? [nutcracker] : [setpriv, "--pdeathsig", "TERM", "--", nutcracker];
}

export function nutcrackerMissing(): TwineError {
  return new TwineError({
    code: "NUTCRACKER_MISSING",
    message: "there is no nutcracker (twemproxy) on this machine",
    remedy: "apt-get install nutcracker, or dnf install twemproxy; or write router twine",
  });
}
