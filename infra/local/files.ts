// files.ts: reading and writing whole files so that nobody ever sees half of one, and so that what the system says
// (no space, no permission) arrives as an error with a remedy.
import { chmod, mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { TwineError } from "../../runtime/core/errors.ts";

/** The file's text, or undefined when there is none. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw fileError("read", path, error);
  }
}

/**
 * Writes to a file beside it, brings it to the disk, then renames: the old text or the new one, never a part.
 * `isFleeting`: means nothing after a crash of the machine (pid files), so the wait for the disk is spared.
 */
export async function writeWhole(
  path: string,
  text: string,
  mode: number,
  isFleeting = false,
): Promise<void> {
  const beside = `${path}.${process.pid}.tmp`;
  try {
    await makeFolders(dirname(path));
    const file = await open(beside, "w", mode);
    try {
      await file.writeFile(text);
      if (!isFleeting) await file.sync();
    } finally {
      await file.close();
    }
    // The mode given to open is narrowed by the umask and ignored for a file left behind by a crash.
    await chmod(beside, mode);
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true }).catch(() => undefined);
    throw fileError("write", path, error);
  }
}

/** Makes the folder and those above it that are missing. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await makeFolders(path);
  } catch (error) {
    throw fileError("write", path, error);
  }
}

/** Not mkdir's own `recursive`: on a read-only disk that says ENOENT, and nobody learns why. */
async function makeFolders(path: string): Promise<void> {
  try {
    await makeOne(path);
  } catch (error) {
    if (systemCode(error) !== "ENOENT" || dirname(path) === path) throw error;
    await makeFolders(dirname(path));
    await makeOne(path);
  }
}

async function makeOne(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    // It may be there, though a read-only disk or an automounter answers something else than EEXIST.
    const isThere = await stat(path).then(
      (found) => found.isDirectory(),
      () => false,
    );
    if (!isThere) throw error;
  }
}

export function systemCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC:
    "free some space on that disk, then run the same command again: it goes on where it stopped",
  EDQUOT: "free some of your quota on that disk, then run the same command again",
  EACCES: "run it as the user who owns that folder, or write elsewhere with --dir FOLDER",
  EPERM: "run it as the user who owns that folder, or write elsewhere with --dir FOLDER",
  EROFS: "that disk is mounted read-only: write elsewhere with --dir FOLDER",
  ENOTDIR: "a file stands where a folder is needed: move it away",
  EEXIST: "a file stands where a folder is needed: move it away",
  EISDIR: "a folder stands where a file is needed: move it away",
};

/** FILE_UNREADABLE or FILE_UNWRITABLE with what the system said. */
export function fileError(verb: "read" | "write", path: string, cause: unknown): TwineError {
  if (cause instanceof TwineError) return cause;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new TwineError(
    {
      code: verb === "read" ? "FILE_UNREADABLE" : "FILE_UNWRITABLE",
      message: `can't ${verb} ${path}: ${why}`,
      remedy: REMEDIES[systemCode(cause)] ?? "see what stands there, and who may touch it",
    },
    { cause },
  );
}
