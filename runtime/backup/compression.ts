// compression.ts: bytes to compressed bytes and back, piece by piece, so that nothing of any size is held in memory.
import { createZstdCompress, createZstdDecompress } from "node:zlib";
import type { Transform } from "node:stream";
import type { Compression } from "./manifest.ts";

export interface Encoder {
  /** What the bytes, and those before them, come out as so far; perhaps nothing yet. */
  push(bytes: Buffer): Promise<readonly Buffer[]>;
  /** The last of it. */
  end(): Promise<readonly Buffer[]>;
}

export function encoderOf(compression: Compression): Encoder {
  if (compression === "zstd") return new StreamEncoder(createZstdCompress());
  return { push: (bytes) => Promise.resolve([bytes]), end: () => Promise.resolve([]) };
}

/** The reverse of encoderOf(). Rejects when the bytes are not what they should be. */
export async function* decoded(
  chunks: AsyncIterable<Buffer>,
  compression: Compression,
): AsyncGenerator<Buffer> {
  if (compression === "none") {
    yield* chunks;
    return;
  }
  const decoder = new StreamEncoder(createZstdDecompress());
  for await (const chunk of chunks) yield* await decoder.push(chunk);
  yield* await decoder.end();
}

class StreamEncoder implements Encoder {
  readonly #stream: Transform;
  #failure: Error | undefined;
  /** Whoever waits for the stream. One that fails does not call back for the bytes that it failed at. */
  #onFailure: (error: Error) => void = () => undefined;
  #out: Buffer[] = [];

  constructor(stream: Transform) {
    this.#stream = stream;
    stream.on("data", (bytes: Buffer) => this.#out.push(bytes));
    stream.on("error", (error) => {
      this.#failure ??= error;
      this.#onFailure(error);
    });
  }

  async push(bytes: Buffer): Promise<readonly Buffer[]> {
    await this.#unlessFailed((resolve) => {
      this.#stream.write(bytes, (error) => {
        if (error === null || error === undefined) resolve();
      });
    });
    return this.#taken();
  }

  async end(): Promise<readonly Buffer[]> {
    await this.#unlessFailed((resolve) => {
      this.#stream.once("end", resolve);
      this.#stream.end();
    });
    return this.#taken();
  }

  #unlessFailed(task: (resolve: () => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#onFailure = reject;
      if (this.#failure === undefined) task(resolve);
      else reject(this.#failure);
    });
  }

  #taken(): readonly Buffer[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }
}
