// claim-folder.ts: a folder that outlives its process says whose it is: Docker adopts a volume of the same name silently,
// and what lies in it would be taken for this cluster's, and removed with it.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TwineError } from "../core/errors.ts";

/**
 * Makes the folder where it is not there and writes the cluster's name into its file twine-stamp, as the entrypoint of a
 * data node does. Throws FOLDER_FOREIGN when another cluster's stands there, FOLDER_UNWRITABLE.
 */
export function claimFolder(folder: string, cluster: string): void {
  const whose = `cluster ${cluster}`;
  const found = orUnwritable(folder, () => {
    mkdirSync(folder, { recursive: true });
    return stampIn(folder, whose);
  });
  if (found === whose) return;
  throw new TwineError({
    code: "FOLDER_FOREIGN",
    message: `the folder ${folder} belongs to '${found}', not to '${whose}'; nothing was touched`,
    remedy: "name another folder, or in containers deploy under another stack name",
  });
}

/** The first line of its stamp, which is `whose` now where there was none. */
function stampIn(folder: string, whose: string): string {
  const stamp = join(folder, "twine-stamp");
  const [found = ""] = textOf(stamp).split("\n");
  // A full disk may have left it empty: that is nobody's name.
  if (found !== "") return found;
  writeFileSync(stamp, `${whose}\n`, { flush: true });
  return whose;
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
    throw error;
  }
}

function orUnwritable<T>(folder: string, task: () => T): T {
  try {
    return task();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TwineError(
      {
        code: "FOLDER_UNWRITABLE",
        message: `the folder ${folder} can't be written: ${why}`,
        remedy: "give it to this process's user, or name another one with --dir",
      },
      { cause },
    );
  }
}
