// s3-objects.ts: the objects of a bucket by their keys: list, read, write, remove. Thin.
import { Readable } from "node:stream";
import type { Clock } from "../../ports/clock.ts";
import type { Bucket, S3Limits } from "./s3-client.ts";
import { isAbsent, isPassing } from "./s3-error.ts";
import { absentIsFine } from "./s3-upload.ts";

export interface StoredObject {
  readonly key: string;
  readonly bytes: number;
  /** Unix milliseconds, by the store's clock. */
  readonly changedAtMs: number;
  /** Of the content; empty where the store gives none. */
  readonly tag: string;
}

/** More objects than any cluster's backups have: something else lies there. */
const OBJECTS_MAX = 1_000_000;
const READ_TRIES = 5;
const REST_MS = 500;

export class S3Objects {
  readonly #bucket: Bucket;
  readonly #clock: Clock;
  readonly #limits: S3Limits;

  constructor(bucket: Bucket, clock: Clock, limits: S3Limits) {
    this.#bucket = bucket;
    this.#clock = clock;
    this.#limits = limits;
  }

  async list(prefix: string): Promise<StoredObject[]> {
    const found: StoredObject[] = [];
    let token: string | undefined;
    do {
      const page = await this.#bucket.run(({ sdk, client, signal }) =>
        client.send(
          new sdk.ListObjectsV2Command({
            Bucket: this.#bucket.name,
            Prefix: prefix,
            ContinuationToken: token,
          }),
          { abortSignal: signal },
        ),
      );
      for (const { Key: key, Size: bytes = 0, LastModified, ETag: tag = "" } of page.Contents ??
        []) {
        if (key === undefined) continue;
        found.push({ key, bytes, changedAtMs: LastModified?.getTime() ?? 0, tag });
      }
      if (found.length > OBJECTS_MAX) {
        throw this.#bucket.problem(
          new Error(`more than ${OBJECTS_MAX} objects begin with ${prefix}`),
        );
      }
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
    return found;
  }

  /** Undefined when it is not there. */
  async text(key: string): Promise<string | undefined> {
    return this.#bucket.run(async ({ sdk, client, signal }) => {
      try {
        const command = new sdk.GetObjectCommand({ Bucket: this.#bucket.name, Key: key });
        const { Body } = await client.send(command, { abortSignal: signal });
        return (await Body?.transformToString()) ?? "";
      } catch (error) {
        if (isAbsent(error)) return undefined;
        throw error;
      }
    });
  }

  async put(key: string, content: string | Buffer): Promise<void> {
    await this.#bucket.run(
      ({ sdk, client, signal }) =>
        client.send(
          new sdk.PutObjectCommand({
            Bucket: this.#bucket.name,
            Key: key,
            Body: typeof content === "string" ? Buffer.from(content) : content,
          }),
          { abortSignal: signal },
        ),
      { withinMs: this.#limits.partMsMax },
    );
  }

  /** One by one: not every store knows DeleteObjects. */
  async remove(key: string): Promise<void> {
    await this.#bucket.run(({ sdk, client, signal }) =>
      client.send(new sdk.DeleteObjectCommand({ Bucket: this.#bucket.name, Key: key }), {
        abortSignal: signal,
      }),
    );
  }

  /** Ends uploads that nobody will complete: their parts cost as much as objects, and no list shows them. */
  async abortUploads(isOurs: (key: string) => boolean, prefix: string): Promise<void> {
    let [key, id]: (string | undefined)[] = [undefined, undefined];
    do {
      const page = await this.#bucket.run(({ sdk, client, signal }) =>
        client.send(
          new sdk.ListMultipartUploadsCommand({
            ...{ Bucket: this.#bucket.name, Prefix: prefix, KeyMarker: key, UploadIdMarker: id },
          }),
          { abortSignal: signal },
        ),
      );
      for (const { Key, UploadId } of page.Uploads ?? []) {
        if (Key === undefined || UploadId === undefined || !isOurs(Key)) continue;
        await this.#bucket.run(({ sdk, client, signal }) =>
          client
            .send(
              new sdk.AbortMultipartUploadCommand({ Bucket: this.#bucket.name, Key, UploadId }),
              { abortSignal: signal },
            )
            .then(() => undefined, absentIsFine),
        );
      }
      [key, id] = page.IsTruncated === true ? [page.NextKeyMarker, page.NextUploadIdMarker] : [];
    } while (key !== undefined);
  }

  /** From its beginning; where the connection breaks it goes on behind the last byte that came. */
  async *read(key: string): AsyncGenerator<Buffer> {
    let [at, tries] = [0, 0];
    let size: number | undefined;
    let etag: string | undefined;
    for (;;) {
      try {
        const got = await this.#from(key, at, etag);
        etag ??= got.ETag;
        size ??= got.ContentLength;
        for await (const chunk of this.#unstalled(got.Body)) {
          at += chunk.length;
          tries = 0;
          yield chunk;
        }
        if (at >= (size ?? 0)) return;
        throw new Error(`${key} ended after ${at} of ${String(size)} bytes`);
      } catch (error) {
        if (isAbsent(error)) throw new Error(`it is not in ${this.#bucket.name}`, { cause: error });
        if (!isPassing(error) || ++tries >= READ_TRIES) throw this.#bucket.problem(error);
        await this.#clock.delay(REST_MS * tries);
      }
    }
  }

  #from(key: string, at: number, etag: string | undefined) {
    const rest = at === 0 ? {} : { Range: `bytes=${at}-`, IfMatch: etag };
    return this.#bucket.run(async ({ sdk, client, signal }) => {
      // The signal is for the headers alone: what is read after them may take as long as it takes.
      const until = new AbortController();
      const abort = (): void => {
        until.abort(signal.reason);
      };
      signal.addEventListener("abort", abort, { once: true });
      try {
        const command = new sdk.GetObjectCommand({ Bucket: this.#bucket.name, Key: key, ...rest });
        return await client.send(command, { abortSignal: until.signal });
      } finally {
        signal.removeEventListener("abort", abort);
      }
    });
  }

  async *#unstalled(body: unknown): AsyncGenerator<Buffer> {
    if (!(body instanceof Readable)) throw new Error("the answer has no body");
    const { stalledMsMax } = this.#limits;
    const chunks = body[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    try {
      for (;;) {
        // It runs while the store is waited for, not while whoever reads is.
        const stop = this.#clock.after(stalledMsMax, () => {
          body.destroy(new Error(`no byte came for ${Math.round(stalledMsMax / 1000)} s`));
        });
        const next = await chunks.next().finally(stop);
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      body.destroy();
    }
  }
}
