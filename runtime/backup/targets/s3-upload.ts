// s3-upload.ts: one file into a bucket whose length is known at its end only: parts of bounded size, one on its way while the
// next is filled. A part whose connection breaks is sent again, alone.
//
//   write... --a part is full--> UploadPart ... --close--> CompleteMultipartUpload: the object exists from here on
//                                        \--abort--> AbortMultipartUpload: nothing of it is left
//   a file shorter than one part: PutObject
import type { CompletedPart } from "@aws-sdk/client-s3";
import type { BackupFile } from "./target.ts";
import type { Bucket, S3Limits } from "./s3-client.ts";
import { isAbsent } from "./s3-error.ts";

const MB = 1024 * 1024;
/** S3 takes parts from 5 MB on, but for the last. */
const PART_BYTES_MIN = 5 * MB;
const SAME_SIZE_PARTS = 500;

/** Parts grow as the file does, because S3 takes 10,000 of them at most: 5 MB up to 2.5 GB, 50 MB at 137 GB, and the last one
    ends at 550 GB. Pure. `index` counts from 0. */
export function partBytes(index: number): number {
  return PART_BYTES_MIN * (1 + Math.floor(index / SAME_SIZE_PARTS));
}

export interface UploadOptions {
  readonly bucket: Bucket;
  readonly key: string;
  readonly limits: S3Limits;
}

export class Upload implements BackupFile {
  readonly #options: UploadOptions;
  readonly #end = new AbortController();
  readonly #parts: CompletedPart[] = [];
  #uploadId: string | undefined;
  /** What is being filled, and a buffer that is on its way or free. */
  #part: Buffer = Buffer.alloc(0);
  #spare: Buffer = Buffer.alloc(0);
  #filled = 0;
  #sentBytes = 0;
  #sending: Promise<void> = Promise.resolve();
  #count = 0;

  constructor(options: UploadOptions) {
    this.#options = options;
  }

  async write(bytes: Buffer): Promise<void> {
    let rest = bytes;
    while (rest.length > 0) {
      if (this.#part.length === 0) this.#part = Buffer.allocUnsafeSlow(partBytes(this.#count));
      const copied = rest.copy(this.#part, this.#filled);
      this.#filled += copied;
      rest = rest.subarray(copied);
      if (this.#filled === this.#part.length) await this.#sendPart();
    }
  }

  async close(): Promise<void> {
    if (this.#uploadId === undefined && this.#count === 0) {
      await this.#putWhole();
      return;
    }
    if (this.#filled > 0) await this.#sendPart();
    await this.#sending;
    await this.#complete(this.#uploadId);
  }

  /** Nothing of it is sent any more when it resolves. */
  async abort(): Promise<void> {
    this.#end.abort(new Error("this copy was given up"));
    await this.#sending.catch(() => undefined);
    const [uploadId, { bucket, key }] = [this.#uploadId, this.#options];
    if (uploadId === undefined) return;
    await bucket.run(({ sdk, client, signal }) =>
      client
        .send(
          new sdk.AbortMultipartUploadCommand({
            Bucket: bucket.name,
            Key: key,
            UploadId: uploadId,
          }),
          { abortSignal: signal },
        )
        .catch(absentIsFine),
    );
  }

  /** Waits until the part before is there, and begins with this one. */
  async #sendPart(): Promise<void> {
    await this.#sending;
    this.#end.signal.throwIfAborted();
    const body = this.#part.subarray(0, this.#filled);
    const number = ++this.#count;
    const sent = this.#part;
    this.#sending = this.#send(body, number);
    // Whoever writes or closes next gets it.
    this.#sending.catch(() => undefined);
    this.#part = this.#spare.length === partBytes(number) ? this.#spare : Buffer.alloc(0);
    this.#spare = sent;
    this.#filled = 0;
  }

  async #send(body: Buffer, number: number): Promise<void> {
    const { bucket, key, limits } = this.#options;
    const [signal, withinMs] = [this.#end.signal, limits.partMsMax];
    this.#uploadId ??= await this.#start();
    const to = { Bucket: bucket.name, Key: key, UploadId: this.#uploadId, PartNumber: number };
    const { ETag, ChecksumCRC32 } = await bucket.run(
      ({ sdk, client, signal: abortSignal }) =>
        client.send(new sdk.UploadPartCommand({ ...to, Body: body }), { abortSignal }),
      { withinMs, signal },
    );
    this.#parts.push({
      PartNumber: number,
      ETag,
      ...(ChecksumCRC32 === undefined ? {} : { ChecksumCRC32 }),
    });
    this.#sentBytes += body.length;
  }

  async #start(): Promise<string> {
    const { bucket, key } = this.#options;
    const { UploadId } = await bucket.run(
      ({ sdk, client, signal: abortSignal }) =>
        client.send(
          new sdk.CreateMultipartUploadCommand({
            Bucket: bucket.name,
            Key: key,
            ChecksumAlgorithm: "CRC32",
          }),
          { abortSignal },
        ),
      { signal: this.#end.signal },
    );
    if (UploadId === undefined) throw bucket.problem(new Error("it gave the upload no id"));
    return UploadId;
  }

  async #putWhole(): Promise<void> {
    const { bucket, key, limits } = this.#options;
    const body = this.#part.subarray(0, this.#filled);
    this.#sending = bucket
      .run(
        ({ sdk, client, signal: abortSignal }) =>
          client.send(new sdk.PutObjectCommand({ Bucket: bucket.name, Key: key, Body: body }), {
            abortSignal,
          }),
        { withinMs: limits.partMsMax, signal: this.#end.signal },
      )
      .then(() => undefined);
    await this.#sending;
  }

  async #complete(uploadId: string | undefined): Promise<void> {
    const { bucket, key, limits } = this.#options;
    const to = { Bucket: bucket.name, Key: key, UploadId: uploadId };
    await bucket.run(
      async ({ sdk, client, signal: abortSignal }) => {
        try {
          const command = new sdk.CompleteMultipartUploadCommand({
            ...to,
            MultipartUpload: { Parts: this.#parts },
          });
          await client.send(command, { abortSignal });
        } catch (error) {
          if (!isAbsent(error)) throw error;
          // Done by an attempt whose answer was lost: the object is there, and as long as it should be.
          const head = new sdk.HeadObjectCommand({ Bucket: bucket.name, Key: key });
          const { ContentLength } = await client.send(head, { abortSignal });
          if (ContentLength !== this.#sentBytes) throw error;
        }
      },
      { withinMs: limits.partMsMax, signal: this.#end.signal },
    );
  }
}

export function absentIsFine(error: unknown): void {
  if (!isAbsent(error)) throw error;
}
