// live-file.ts: a file that another program reads at any moment: the old text or the new one, never a part.
import { chmod, open, readFile, rename, rm, stat, truncate, writeFile } from "node:fs/promises";
import { errorText } from "../core/error-text.ts";
import { TwineError } from "../core/errors.ts";

/** undefined: there is no such file. Throws FILE_UNREADABLE, also for one that is larger than `bytesMax`. */
export async function readIfThere(path: string, bytesMax: number): Promise<string | undefined> {
  try {
    const { size } = await stat(path);
    if (size > bytesMax) throw new Error(`it has ${size} bytes, and at most ${bytesMax} are read`);
    return await readFile(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw new TwineError(
      {
        code: "FILE_UNREADABLE",
        message: `can't read ${path}: ${errorText(error)}`,
        remedy: "check what is at that path, and its owner and permissions",
      },
      { cause: error },
    );
  }
}

/** Writes beside it, brings that to the disk and renames it; its mode stays, or is that of `like`. Throws FILE_UNWRITABLE. */
export async function replaceFile(path: string, text: string, like = path): Promise<void> {
  const beside = `${path}.${process.pid}.tmp`;
  try {
    const mode = await modeOf(like);
    const file = await open(beside, "w", mode);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await chmod(beside, mode);
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true }).catch(() => undefined);
    throw unwritable(path, error);
  }
}

/** The same for a file in a folder of somebody else, where nothing can be renamed; then it is written in its place. */
export async function replaceOrOverwrite(path: string, text: string): Promise<void> {
  try {
    await replaceFile(path, text);
  } catch (error) {
    const why = error instanceof TwineError ? codeOf(error.cause) : "";
    if (why !== "EACCES" && why !== "EPERM") throw error;
    try {
      await writeFile(path, text, { flag: "r+" });
      await truncate(path, Buffer.byteLength(text));
    } catch {
      throw error;
    }
  }
}

async function modeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ mode }) => mode & 0o777,
    () => 0o644,
  );
}

function unwritable(path: string, cause: unknown): TwineError {
  return new TwineError(
    {
      code: "FILE_UNWRITABLE",
      message: `can't write ${path}: ${errorText(cause)}`,
      remedy: "run it as a user who may write there, and check the disk",
    },
    { cause },
  );
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
