// spool.ts: a queue of bytes in files: it keeps the change feed until the RDB is loaded, and while copying is behind.
//
//   push -> [ newest file ] ... [ oldest file ] -> next        a file that was read to its end is removed
//
// Several files, because a feed that is followed for hours may never be read to its end at once: one file would only grow.
import { open, rm, type FileHandle } from "node:fs/promises";

const READ_BYTES = 1024 * 1024;
const FILE_BYTES = 64 * 1024 * 1024;

interface SpoolFile {
  readonly path: string;
  readonly handle: FileHandle;
  writtenBytes: number;
  readBytes: number;
}

export class Spool {
  readonly #path: string;
  readonly #fileBytes: number;
  /** The oldest first; the last one is written to. */
  readonly #files: SpoolFile[];
  #filesMade = 1;
  #waitingBytes = 0;
  #wake: () => void = () => undefined;
  #isWoken = false;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(path: string, fileBytes: number, first: SpoolFile) {
    this.#path = path;
    this.#fileBytes = fileBytes;
    this.#files = [first];
  }

  /** The file must not exist; others of its name with .1, .2 ... come beside it. close() removes them. */
  static async open(path: string, fileBytes = FILE_BYTES): Promise<Spool> {
    return new Spool(path, fileBytes, await newFile(path));
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** In the order of the calls. */
  push(bytes: Buffer): Promise<void> {
    return this.#inTurn(async () => {
      const file = await this.#toWrite();
      let done = 0;
      while (done < bytes.length) {
        const place = [bytes, done, bytes.length - done, file.writtenBytes] as const;
        const { bytesWritten } = await file.handle.write(...place);
        done += bytesWritten;
        file.writtenBytes += bytesWritten;
        this.#waitingBytes += bytesWritten;
      }
      this.#wake();
    });
  }

  /** The next bytes, at least one and at most so many; none after wake(). One reader at a time. */
  async next(bytesMax = READ_BYTES): Promise<Buffer> {
    while (this.waitingBytes === 0) {
      if (this.#isWoken) return Buffer.alloc(0);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#inTurn(async () => {
      const file = await this.#toRead();
      const unread = file.writtenBytes - file.readBytes;
      const bytes = Buffer.alloc(Math.min(bytesMax, READ_BYTES, unread));
      const { bytesRead } = await file.handle.read(bytes, 0, bytes.length, file.readBytes);
      file.readBytes += bytesRead;
      this.#waitingBytes -= bytesRead;
      if (this.waitingBytes === 0) {
        // All of it was read: the disk gets its space back.
        await file.handle.truncate(0);
        file.writtenBytes = 0;
        file.readBytes = 0;
      }
      return bytes.subarray(0, bytesRead);
    });
  }

  /** Ends the wait of next(): it returns no bytes from now on. */
  wake(): void {
    this.#isWoken = true;
    this.#wake();
  }

  async close(): Promise<void> {
    this.wake();
    await this.#inTurn(async () => {
      for (const file of this.#files) await remove(file);
    });
  }

  async #toWrite(): Promise<SpoolFile> {
    const newest = this.#files.at(-1);
    if (newest !== undefined && newest.writtenBytes < this.#fileBytes) return newest;
    const file = await newFile(`${this.#path}.${this.#filesMade++}`);
    this.#files.push(file);
    return file;
  }

  /** Removes what was read to its end. */
  async #toRead(): Promise<SpoolFile> {
    for (;;) {
      const [oldest] = this.#files;
      if (oldest === undefined) throw new Error("the queue is closed");
      if (oldest.readBytes < oldest.writtenBytes || this.#files.length === 1) return oldest;
      this.#files.shift();
      await remove(oldest);
    }
  }

  async #inTurn<Value>(task: () => Promise<Value>): Promise<Value> {
    const result = this.#turn.then(task);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

async function newFile(path: string): Promise<SpoolFile> {
  return { path, handle: await open(path, "wx+", 0o600), writtenBytes: 0, readBytes: 0 };
}

async function remove({ path, handle }: SpoolFile): Promise<void> {
  await handle.close();
  await rm(path, { force: true });
}
