// files.ts: reads and writes whole files, so that no reader ever sees a part of one, and errors of the system (no space, no
// permission) become errors with a remedy.
import { chmod, chown, mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { TwineError } from "../../../runtime/core/errors.ts";
import { errorText } from "../../../runtime/core/error-text.ts";

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
 * Writes to a temporary file next to it, syncs, then renames: readers see the old text or the new one, never a part.
 * `isFleeting`: the file has no meaning after a crash of the machine (pid files), so it is not synced.
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
    // open() narrows the mode by the umask, and ignores it for a file left by a crash.
    await chmod(beside, mode);
    await giveToOwner(beside);
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true }).catch(() => undefined);
    throw fileError("write", path, error);
  }
}

/** Creates the folder and its missing parents. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await makeFolders(path);
  } catch (error) {
    throw fileError("write", path, error);
  }
}

/** Not mkdir's own `recursive`: on a read-only disk it reports ENOENT, which hides the reason. */
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
    await giveToOwner(path);
  } catch (error) {
    // It may exist, although a read-only disk or an automounter answers with another error than EEXIST.
    const isThere = await stat(path).then(
      (found) => found.isDirectory(),
      () => false,
    );
    if (!isThere) throw error;
  }
}

/** A file that root writes into another user's folder must belong to that user, or its own processes could not change
    it. */
async function giveToOwner(path: string): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = await stat(dirname(path));
  if (uid !== 0) await chown(path, uid, gid);
}

export function systemCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC:
    "free some space on that disk, then run the same command again: it continues where it stopped",
  EDQUOT: "free some of your quota on that disk, then run the same command again",
  EACCES: "run it as the user who owns that folder, or write elsewhere with --dir FOLDER",
  EPERM: "run it as the user who owns that folder, or write elsewhere with --dir FOLDER",
  EMFILE: "raise the limit on open files (ulimit -n), then run the same command again",
  ENFILE:
    "the machine's limit on open files is reached: raise fs.file-max, or end a program that holds many",
  EROFS: "that disk is mounted read-only: write elsewhere with --dir FOLDER",
  ENOTDIR: "there is a file where a folder is needed: move it away",
  EEXIST: "there is a file where a folder is needed: move it away",
  EISDIR: "there is a folder where a file is needed: move it away",
};

/** FILE_UNREADABLE or FILE_UNWRITABLE with the system's error. */
export function fileError(verb: "read" | "write", path: string, cause: unknown): TwineError {
  if (cause instanceof TwineError) return cause;
  const why = errorText(cause);
  return new TwineError(
    {
      code: verb === "read" ? "FILE_UNREADABLE" : "FILE_UNWRITABLE",
      message: `can't ${verb} ${path}: ${why}`,
      remedy:
        REMEDIES[systemCode(cause)] ?? "check what is at that path, and its owner and permissions",
    },
    { cause },
  );
}
