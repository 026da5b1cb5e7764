// s3-client.ts: one bucket through Amazon's client library, which is loaded when the first request is sent. It finds the
// endpoint, the region and the credentials as all programs of AWS do: variables, ~/.aws/config, the machine's role.
//
//   run(command): tried again while the connection breaks or the server is busy, until its time is over; then an error that
//   names the bucket, the reason and the remedy
import type { S3Client } from "@aws-sdk/client-s3";
import { TwineError } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import { isPassing, reportedBy, s3Error } from "./s3-error.ts";

/** How long the store is waited for. */
export interface S3Limits {
  /** A store that has not answered at all yet: it is likely that nothing is there, and nobody waits for that for long. */
  readonly firstAnswerMsMax: number;
  /** A small request, with all its repetitions. */
  readonly requestMsMax: number;
  /** A part of a file, with all its repetitions. With the request that begins the upload, below the time after which a node
      gives up a client that reads nothing (repl-timeout, 60s): a slow store must not cost the other targets their copy. */
  readonly partMsMax: number;
  /** No byte of a file that is read. */
  readonly stalledMsMax: number;
}

export const S3_LIMITS: S3Limits = {
  firstAnswerMsMax: 8000,
  requestMsMax: 15_000,
  partMsMax: 30_000,
  stalledMsMax: 20_000,
};

type Sdk = typeof import("@aws-sdk/client-s3");

/** What a request is made of: the library, its client, the end of this attempt. */
export interface Attempt {
  readonly sdk: Sdk;
  readonly client: S3Client;
  readonly signal: AbortSignal;
}

export interface BucketOptions {
  /** The target as twine.conf names it. */
  readonly name: string;
  readonly bucket: string;
  readonly clock: Clock;
  readonly limits: S3Limits;
  readonly env: NodeJS.ProcessEnv;
  /** The store keeps this waiting; for people. */
  readonly onWaiting?: ((text: string) => void) | undefined;
}

/** Said when a request takes longer. */
const WAITING_MS = 2000;
/** A store that did not answer its first request is not asked again for so long. */
const DEAD_MS = 30_000;
const CONNECT_MS = 5000;
const IDLE_MS = 15_000;
const REST_MS = 250;
const REST_MS_MAX = 4000;

export class Bucket {
  readonly #options: BucketOptions;
  #opened: Promise<{ readonly sdk: Sdk; readonly client: S3Client }> | undefined;
  #hasAnswered = false;
  #dead: { readonly untilMs: number; readonly problem: TwineError } | undefined;

  constructor(options: BucketOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.bucket;
  }

  /** The problem that an error of this bucket is. */
  problem(error: unknown): TwineError {
    return s3Error(error, this.#options.name, this.#options.bucket);
  }

  /** Throws a TwineError, or what is not of the store; `signal` ends it at once. */
  async run<T>(
    request: (attempt: Attempt) => Promise<T>,
    options: { readonly withinMs?: number; readonly signal?: AbortSignal } = {},
  ): Promise<T> {
    const { clock, limits } = this.#options;
    const { signal } = options;
    if (this.#dead !== undefined && clock.nowMs() < this.#dead.untilMs) throw this.#dead.problem;
    const askedMs = options.withinMs ?? limits.requestMsMax;
    const withinMs = this.#hasAnswered ? askedMs : Math.min(askedMs, limits.firstAnswerMsMax);
    const end = new AbortController();
    const stop = clock.after(withinMs, () => {
      const seconds = Math.round(withinMs / 1000);
      end.abort(new Error(`no complete answer within ${seconds} s`));
    });
    let reason = "";
    const stopSaying = clock.after(WAITING_MS, () => {
      const { name, onWaiting } = this.#options;
      const seconds = Math.round((withinMs - WAITING_MS) / 1000);
      const why = reason === "" ? "" : ` (${reason})`;
      if (seconds > 0) onWaiting?.(`${name}: no answer yet${why}; it has ${seconds} s more`);
    });
    const attempt = signal === undefined ? end.signal : AbortSignal.any([end.signal, signal]);
    let restMs = REST_MS;
    try {
      const opened = await this.#open();
      for (;;) {
        try {
          const result = await request({ ...opened, signal: attempt });
          this.#hasAnswered = true;
          return result;
        } catch (error) {
          signal?.throwIfAborted();
          reason = textOf(error);
          if (reportedBy(error).status !== undefined) this.#hasAnswered = true;
          if (end.signal.aborted) throw timedOut(error, end.signal);
          if (!isPassing(error)) throw error;
          await rested(clock, restMs, attempt).catch(() => {
            signal?.throwIfAborted();
            throw timedOut(error, end.signal);
          });
          restMs = Math.min(2 * restMs, REST_MS_MAX);
        }
      }
    } catch (error) {
      signal?.throwIfAborted();
      const problem = this.problem(error);
      if (!this.#hasAnswered && end.signal.aborted) {
        this.#dead = { untilMs: clock.nowMs() + DEAD_MS, problem };
      }
      throw problem;
    } finally {
      stop();
      stopSaying();
    }
  }

  #open(): Promise<{ readonly sdk: Sdk; readonly client: S3Client }> {
    this.#opened ??= openClient(this.#options).catch((error: unknown) => {
      this.#opened = undefined;
      throw error;
    });
    return this.#opened;
  }
}

async function openClient({ name, bucket, env }: BucketOptions) {
  const sdk = await import("@aws-sdk/client-s3");
  const isOther = await hasOtherEndpoint(env);
  const client = new sdk.S3Client({
    // Stores other than Amazon's rarely have a name in DNS for each bucket.
    forcePathStyle: isOther,
    requestHandler: { connectionTimeout: CONNECT_MS, socketTimeout: IDLE_MS },
  });
  const region = await client.config.region().catch(() => undefined);
  if (region !== undefined) return { sdk, client };
  if (!isOther) {
    throw new TwineError({
      code: "BACKUP_TARGET_FAILED",
      message: `${name}: bucket ${bucket}: neither AWS_REGION nor the profile names a region`,
      remedy: "set AWS_REGION to the region of the bucket",
    });
  }
  client.destroy();
  return {
    sdk,
    // What most stores sign with that have no regions.
    client: new sdk.S3Client({
      region: "us-east-1",
      forcePathStyle: true,
      requestHandler: { connectionTimeout: CONNECT_MS, socketTimeout: IDLE_MS },
    }),
  };
}

/** Whether a variable or the profile names an endpoint. */
async function hasOtherEndpoint(env: NodeJS.ProcessEnv): Promise<boolean> {
  if ((env["AWS_ENDPOINT_URL_S3"] ?? env["AWS_ENDPOINT_URL"] ?? "") !== "") return true;
  const { loadSharedConfigFiles } = await import("@smithy/core/config");
  const { configFile } = await loadSharedConfigFiles();
  const profile = configFile[env["AWS_PROFILE"] ?? "default"];
  return profile?.["endpoint_url"] !== undefined || profile?.["services"] !== undefined;
}

function timedOut(error: unknown, end: AbortSignal): Error {
  const late = end.reason as Error;
  const isAbort = error instanceof Error && error.name === "AbortError";
  return isAbort
    ? late
    : new Error(`${late.message}; the last reason: ${textOf(error)}`, { cause: error });
}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error ? String(error.code) : "";
  return [error.message, code].filter((part) => part !== "").join(" ") || error.name;
}

function rested(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      cancel();
      reject(signal.reason as Error);
    };
    const cancel = clock.after(ms, () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    });
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
}
