// claim-folder.ts: a volume says whose it is: Docker adopts one of the same name silently, and what lies in it would be
// taken for this cluster's, and removed with it.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TwineError, type Problem } from "../core/errors.ts";

const STAMP = "twine-stamp";
/** What a new volume may hold: the file system's own folder, what the image has there, a stamp that a full disk left empty. */
const NOBODYS = ["lost+found", "rescue", STAMP];

/**
 * Writes the cluster's name into the folder's file twine-stamp, as the entrypoint of a data node does.
 * Throws FOLDER_FOREIGN when another cluster's stands there, when the folder holds anything and no stamp, or when that
 * can't be seen. Returns a warning when it is free and can't be written: a monitor that rescues nothing is better than none.
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
      message: `${folder} can't be written (${textOf(error)}): what a rogue master holds can't be rescued here`,
      remedy:
        "give it to this process's user; of a container: use an image whose " +
        `${folder} belongs to user 1000, as infra/image/Dockerfile makes one`,
    };
  }
}

/** What is in the folder, and the first line of its stamp, empty where there is none. */
function look(folder: string): { readonly entries: readonly string[]; readonly found: string } {
  try {
    const entries = readdirSync(folder);
    const stamp = entries.includes(STAMP) ? readFileSync(join(folder, STAMP), "utf8") : "";
    return { entries, found: stamp.split("\n")[0] ?? "" };
  } catch (error) {
    const isNone = error instanceof Error && "code" in error && error.code === "ENOENT";
    if (isNone) return { entries: [], found: "" };
    throw foreign(folder, `can't be read, so it may be somebody else's (${textOf(error)})`);
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function foreign(folder: string, why: string): TwineError {
  return new TwineError({
    code: "FOLDER_FOREIGN",
    message: `the volume at ${folder} ${why}; nothing was touched`,
    remedy: "deploy under another stack name, or remove the volume if its data is not wanted",
  });
}
