// gathered-writes.ts: many small writes to a file as a few large ones, and the next one is gathered while one is written.
//
// Each write of Node goes to another thread and back, which costs more than the bytes do; data of a redis-server come in
// pieces of 16 to 64 KB. A failed write is thrown by the next write() or by flush().

/** What is needed of a FileHandle. */
export interface WholeWrites {
  /** All of the bytes. */
  writeFile(bytes: Buffer): Promise<void>;
}

const GATHERED_BYTES = 512 * 1024;

export class GatheredWrites {
  readonly #file: WholeWrites;
  #filling: Buffer | undefined;
  #spare: Buffer | undefined;
  #used = 0;
  #writing: Promise<void> = Promise.resolve();

  constructor(file: WholeWrites) {
    this.#file = file;
  }

  /** The bytes may be changed when it resolves. Throws what an earlier write has failed with. */
  async write(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      this.#filling ??= Buffer.allocUnsafeSlow(GATHERED_BYTES);
      const copied = bytes.copy(this.#filling, this.#used, at);
      this.#used += copied;
      at += copied;
      if (this.#used === GATHERED_BYTES) await this.#send();
    }
  }

  /** All is written when it resolves. */
  async flush(): Promise<void> {
    await this.#send();
    await this.#writing;
  }

  async #send(): Promise<void> {
    await this.#writing;
    const [full, used] = [this.#filling, this.#used];
    if (full === undefined || used === 0) return;
    this.#filling = this.#spare;
    this.#used = 0;
    this.#spare = full;
    this.#writing = this.#file.writeFile(full.subarray(0, used));
    // Whoever writes next gets it.
    this.#writing.catch(() => undefined);
  }
}
