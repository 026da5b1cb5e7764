// claim-folder.ts: marks a volume with its cluster: Docker adopts a volume of the same name silently, and its data would be
// used as this cluster's, and removed with it.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TwineError, type Problem } from "../core/errors.ts";
import { errorText } from "../core/error-text.ts";

const STAMP = "twine-stamp";
/** A new volume may contain: the file system's own folder, the image's folder, a stamp that a full disk left empty. */
const NOBODYS = ["lost+found", "rescue", STAMP];

/**
 * Writes the cluster's name into the folder's file twine-stamp, like the entrypoint of a data node. Throws FOLDER_FOREIGN
 * when the stamp names another cluster, when the folder has files but no stamp, or when that can't be read. Returns a
 * warning when the folder has no owner and can't be written: a monitor that can't rescue is better than none.
 */
export function claimFolder(folder: string, cluster: string): Problem | undefined {
  const whose = `cluster ${cluster}`;
  const { entries, found } = look(folder);
  if (found === whose) return undefined;
  if (found !== "") throw foreign(folder, `belongs to '${found}', not to '${whose}'`);
  const strange = entries.find((entry) => !NOBODYS.includes(entry));
  if (strange !== undefined) {
    throw foreign(folder, `holds ${strange} and no stamp that says whose it is`);
  }
  try {
    writeFileSync(join(folder, STAMP), `${whose}\n`, { flush: true });
    return undefined;
  } catch (error) {
    return {
      code: "FOLDER_UNWRITABLE",
      message: `${folder} can't be written (${errorText(error)}): the data of a rogue master can't be saved here`,
      remedy:
        "give it to this process's user; of a container: use an image whose " +
        `${folder} belongs to user 1000, as infra/image/Dockerfile makes one`,
    };
  }
}

/** The entries of the folder, and the first line of its stamp; empty without a stamp. */
function look(folder: string): { readonly entries: readonly string[]; readonly found: string } {
  try {
    const entries = readdirSync(folder);
    const stamp = entries.includes(STAMP) ? readFileSync(join(folder, STAMP), "utf8") : "";
    return { entries, found: stamp.split("\n")[0] ?? "" };
  } catch (error) {
    const isNone = error instanceof Error && "code" in error && error.code === "ENOENT";
    if (isNone) return { entries: [], found: "" };
    throw foreign(folder, `can't be read, so it may be somebody else's (${errorText(error)})`);
  }
}

function foreign(folder: string, why: string): TwineError {
  return new TwineError({
    code: "FOLDER_FOREIGN",
    message: `the volume at ${folder} ${why}; nothing was touched`,
    remedy: "deploy under another stack name, or remove the volume if its data is not wanted",
  });
}
