// private-files.ts: the files of a restore on this machine, as a port: those in its private folder, and those that somebody has
// given it. A failure there is none of the data's: its error says which file it was, and what helps.
import { createReadStream, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { GatheredWrites } from "../../ports/gathered-writes.ts";
import { errorText } from "../../core/error-text.ts";
import { TwineError } from "../../core/errors.ts";

export interface PrivateFiles {
  /** A new file, for its owner alone. Throws PRIVATE_FOLDER_FAILED, as do its writes. */
  create(path: string): Promise<PrivateFile>;
  /** From its beginning, in pieces of at most 256 KiB. */
  read(path: string, signal?: AbortSignal): AsyncIterable<Buffer>;
}

export interface PrivateFile {
  /** Written when close() resolves; until then another write, or close(), may reject in its place. */
  write(bytes: Buffer): Promise<void>;
  /** Written when it returns; never beside write(). */
  writeNow(bytes: Buffer): void;
  close(): Promise<void>;
}

const READ_BYTES = 256 * 1024;

export const privateFiles: PrivateFiles = {
  create: async (path) => {
    const file = await open(path, "wx", 0o600);
    const gathered = new GatheredWrites(file);
    return {
      write: (bytes) => gathered.write(bytes),
      writeNow: (bytes) => {
        for (let at = 0; at < bytes.length;) {
          at += writeSync(file.fd, bytes, at, bytes.length - at);
        }
      },
      close: async () => {
        try {
          await gathered.flush();
        } finally {
          await file.close();
        }
      },
    };
  },
  read: (path, signal) => createReadStream(path, { highWaterMark: READ_BYTES, signal }),
};

/** The same files, with errors that people can act on. */
export function explained(files: PrivateFiles): PrivateFiles {
  return {
    create: async (path) => {
      const file = await files.create(path).catch(rethrown(path));
      return {
        write: (bytes) => file.write(bytes).catch(rethrown(path)),
        writeNow: (bytes) => {
          try {
            file.writeNow(bytes);
          } catch (error) {
            throw failed(path, error);
          }
        },
        close: () => file.close().catch(rethrown(path)),
      };
    },
    async *read(path, signal) {
      try {
        yield* files.read(path, signal);
      } catch (error) {
        signal?.throwIfAborted();
        throw failed(path, error);
      }
    },
  };
}

/** A file that was given to be restored, with an error that people can act on: FILE_UNREADABLE. */
export async function* readGiven(
  files: Pick<PrivateFiles, "read">,
  path: string,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  try {
    yield* files.read(path, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw unreadable(path, error);
  }
}

export function unreadable(path: string, error: unknown): TwineError {
  return new TwineError(
    {
      code: "FILE_UNREADABLE",
      message: `${path}: ${errorText(error)}`,
      remedy: "nothing was restored; see that this user can read the whole file, and restore again",
    },
    { cause: error },
  );
}

function rethrown(path: string): (error: unknown) => never {
  return (error) => {
    throw failed(path, error);
  };
}

function failed(path: string, error: unknown): TwineError {
  return new TwineError(
    {
      code: "PRIVATE_FOLDER_FAILED",
      message: `${path}: ${errorText(error)}`,
      remedy:
        "nothing was restored; make room on that disk, or name a folder on another one with --scratch, and restore again",
    },
    { cause: error },
  );
}
