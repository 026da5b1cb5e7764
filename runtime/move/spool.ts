// spool.ts: a queue of bytes in a file: it keeps the change feed until the RDB is loaded.
import { open, rm, type FileHandle } from "node:fs/promises";

const READ_BYTES = 1024 * 1024;

export class Spool {
  readonly #path: string;
  readonly #file: FileHandle;
  #writtenBytes = 0;
  #readBytes = 0;
  #wake: () => void = () => undefined;
  #isWoken = false;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.#file = file;
  }

  /** The file must not exist; close() removes it. */
  static async open(path: string): Promise<Spool> {
    return new Spool(path, await open(path, "wx+", 0o600));
  }

  get waitingBytes(): number {
    return this.#writtenBytes - this.#readBytes;
  }

  /** In the order of the calls. */
  push(bytes: Buffer): Promise<void> {
    return this.#inTurn(async () => {
      let done = 0;
      while (done < bytes.length) {
        const place = [bytes, done, bytes.length - done, this.#writtenBytes] as const;
        const { bytesWritten } = await this.#file.write(...place);
        done += bytesWritten;
        this.#writtenBytes += bytesWritten;
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
      const bytes = Buffer.alloc(Math.min(bytesMax, READ_BYTES, this.waitingBytes));
      const { bytesRead } = await this.#file.read(bytes, 0, bytes.length, this.#readBytes);
      this.#readBytes += bytesRead;
      if (this.waitingBytes === 0) {
        // All of it was read: the disk gets its space back.
        await this.#file.truncate(0);
        this.#writtenBytes = 0;
        this.#readBytes = 0;
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
    await this.#inTurn(() => this.#file.close());
    await rm(this.#path, { force: true });
  }

  async #inTurn<Value>(task: () => Promise<Value>): Promise<Value> {
    const result = this.#turn.then(task);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}
