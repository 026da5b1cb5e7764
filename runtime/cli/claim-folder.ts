// claim-folder.ts: a volume says whose it is: Docker adopts one of the same name silently, and what lies in it would be
// taken for this cluster's, and removed with it.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TwineError, type Problem } from "../core/errors.ts";

/** What a new volume may hold: the file system's own folder, what the image has there, a stamp that a full disk left empty. */
const NOBODYS = ["lost+found", "rescue", "twine-stamp"];

/**
 * Writes the cluster's name into the folder's file twine-stamp, as the entrypoint of a data node does.
 * Throws FOLDER_FOREIGN when another cluster's stands there, or when the folder holds anything and no stamp. Returns a
 * warning when it can't be read or written: a monitor that rescues nothing is better than none.
 */
export function claimFolder(folder: string, cluster: string): Problem | undefined {
  const whose = `cluster ${cluster}`;
  const stamp = join(folder, "twine-stamp");
  try {
    const found = stampIn(folder, stamp);
    if (found === whose) return undefined;
    if (found !== "") throw foreign(folder, `belongs to '${found}', not to '${whose}'`);
    const strange = readdirSync(folder).find((entry) => !NOBODYS.includes(entry));
    if (strange !== undefined) {
      throw foreign(folder, `holds ${strange} and no stamp that says whose it is`);
    }
    writeFileSync(stamp, `${whose}\n`, { flush: true });
    return undefined;
  } catch (cause) {
    if (cause instanceof TwineError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    return {
      code: "FOLDER_UNWRITABLE",
      message: `${folder} can't be written (${why}): what a rogue master holds can't be rescued here`,
      remedy:
        "give it to this process's user; of a container: use an image whose " +
        `${folder} belongs to user 1000, as infra/image/Dockerfile makes one`,
    };
  }
}

/** The first line of its stamp; empty where there is none. */
function stampIn(folder: string, stamp: string): string {
  if (!readdirSync(folder).includes("twine-stamp")) return "";
  return readFileSync(stamp, "utf8").split("\n")[0] ?? "";
}

function foreign(folder: string, why: string): TwineError {
  return new TwineError({
    code: "FOLDER_FOREIGN",
    message: `the volume at ${folder} ${why}; nothing was touched`,
    remedy: "deploy under another stack name, or remove the volume if its data is not wanted",
  });
}
