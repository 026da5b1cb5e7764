// bins.ts: the programs that tests start: of the bundle that this run made (bundle-bins.ts), else of the sources.
import { existsSync } from "node:fs";
import { join } from "node:path";
import * as sources from "../../runtime/cli/package-root.ts";

/** The variable that names the folder of the bundle. Workers of vitest inherit the environment. */
export const BUNDLE = "TWINE_TEST_BUNDLE";

/** One of Twine's programs, to be started with Node. */
export function binPath(bin: string, room: "runtime" | "infra"): string {
  const folder = process.env[BUNDLE];
  return folder === undefined ? sources.binPath(bin, room) : join(folder, room, "bin", `${bin}.js`);
}

/** Like runtime/cli/package-root.ts, for clusters that a test starts by the local applier. */
export function twineHome(): ReturnType<typeof sources.twineHome> {
  const twineBin = (name: string): string => {
    const path = binPath(name, "runtime");
    return existsSync(path) ? path : binPath(name, "infra");
  };
  return { ...sources.twineHome(), twineBin };
}
