// load-aof.ts: an append only file into a cluster.
//
//   read through: whole? every command's keys in one set? one database?   -> an error, and nothing was written
//   with an RDB:  all of it -> scratch redis-server -> DUMP -> RESTORE       what it holds in the end
//   without one:  its commands, sent in their order; times of expiry held back to the end (held-expiry.ts)
//
// The file is read twice, because the second time must not find out what the first could have told. Redis lets no key
// expire while it loads such a file: a later command may still extend its life or end it. Both ways keep to it.
import { tmpdir } from "node:os";
import { TwineError } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import { scanned, type ScratchServer } from "../scratch-server.ts";
import { numberOf, type RespValue } from "../../resp/value.ts";
import { aofFiles } from "./aof-files.ts";
import { openAofScratch } from "./aof-scratch.ts";
import {
  examineFile,
  isSelect,
  noteDb,
  unitsOf,
  type Part,
  type Unloadable,
} from "./examine-aof.ts";
import { HeldExpiry } from "./held-expiry.ts";
import { errorText } from "../../core/error-text.ts";

export interface AofProgress {
  /** Commands applied so far, those of transactions counted singly. */
  readonly commands: number;
  /** Keys restored so far from a file with an RDB: all that its commands left. 0 of a file without one. */
  readonly keys: number;
  /** Of all files, applied so far and together. */
  readonly bytes: number;
  readonly bytesTotal: number;
}

export interface AofLoaded extends AofProgress {
  /** Where the last file was cut off, with allowTruncated. */
  readonly truncated: { readonly file: string; readonly byte: number } | undefined;
}

export interface AofOptions {
  /** Load what is whole of a file that ends in the middle of a command. */
  readonly allowTruncated?: boolean;
  /** Called after every 1,000 commands or keys, and at the end. */
  onProgress?(progress: AofProgress): void;
}

/** Where it is loaded into. */
export interface AofTarget {
  readonly clock: Clock;
  whyNot(args: readonly Buffer[]): Unloadable | undefined;
  send(args: readonly (Buffer | string)[]): Promise<unknown>;
}

const IN_FLIGHT_MAX = 1000;

/** Throws AOF_MISSING, AOF_MANIFEST_BAD, AOF_BROKEN, AOF_TRUNCATED, AOF_RDB_TRUNCATED, AOF_SEVERAL_DATABASES,
    AOF_COMMAND_REFUSED or SCRATCH_FAILED before anything is written; AOF_COMMAND_FAILED half way. */
export async function loadAof(
  path: string,
  options: AofOptions,
  target: AofTarget,
): Promise<AofLoaded> {
  const dbs = new Set<number>();
  const files = aofFiles(path);
  const parts = files.map((file, index) =>
    examineFile(file, {
      isFirst: index === 0,
      mayBeCut: options.allowTruncated === true && index === files.length - 1,
      dbs,
      whyNot: (args) => target.whyNot(args),
    }),
  );
  const loading = new Loading(parts, options, target);
  if ((parts[0]?.from ?? 0) === 0) return loading.sendAll();
  const scratch = await openAofScratch(parts, { home: tmpdir(), loads: path, clock: target.clock });
  try {
    for (const db of scratch.dbs) noteDb(dbs, db, path);
    return await loading.restoreAll(scratch, path);
  } finally {
    await scratch.close();
  }
}

/** The second reading: everything was found well, and is written. */
class Loading {
  readonly #parts: readonly Part[];
  readonly #options: AofOptions;
  readonly #target: AofTarget;
  readonly #inFlight = new Set<Promise<void>>();
  #failure: TwineError | undefined;
  #commands = 0;
  #keys = 0;
  #bytes = 0;
  #told = 0;

  constructor(parts: readonly Part[], options: AofOptions, target: AofTarget) {
    this.#parts = parts;
    this.#options = options;
    this.#target = target;
  }

  /** Commands, as they stand in the files. */
  async sendAll(): Promise<AofLoaded> {
    const expiry = new HeldExpiry();
    for (const part of this.#parts) {
      const before = this.#bytes;
      for (const unit of unitsOf(part.file, part.from, part.end)) {
        for (const args of unit.commands) {
          if (isSelect(args)) continue;
          await this.#send(expiry.hold(args), `${part.file}, byte ${unit.at}`);
          this.#commands++;
        }
        this.#bytes = before + unit.end;
        this.#tell(false);
      }
      await this.#settle();
      this.#bytes = before + part.sizeBytes;
    }
    for (const args of expiry.releases()) await this.#send(args, "the keys' times of expiry");
    return this.#end();
  }

  /** RESTORE replaces what is there under the same key. */
  async restoreAll(scratch: ScratchServer, path: string): Promise<AofLoaded> {
    this.#commands = this.#parts.reduce((sum, { commandCount }) => sum + commandCount, 0);
    this.#told = this.#commands;
    await scratch.call("SELECT", String(scratch.dbs[0] ?? 0));
    const functions = await scratch.call("FUNCTION", "DUMP").catch(() => undefined);
    if (functions?.type === "bulk" && functions.bytes.length > EMPTY_FUNCTIONS_BYTES) {
      await this.#send(["FUNCTION", "RESTORE", functions.bytes, "REPLACE"], `${path}, functions`);
    }
    const { bytesTotal } = this.#progress;
    let cursor = "0";
    do {
      const step = scanned(await scratch.call("SCAN", cursor, "COUNT", "500"));
      ({ cursor } = step);
      for (const { key, value, ttlMs } of await dumpsOf(scratch, step.keys)) {
        // Expired at the end of the file or since.
        if (value.type !== "bulk" || ttlMs === 0 || ttlMs === -2) continue;
        const args = ["RESTORE", key, String(Math.max(ttlMs, 0)), value.bytes, "REPLACE"];
        await this.#send(args, `${path}, key '${key.toString("latin1", 0, 64)}'`);
        this.#keys++;
        const share = Math.min(this.#keys / scratch.keyCount, 1);
        this.#bytes = Math.floor(bytesTotal * share);
        this.#tell(false);
      }
    } while (cursor !== "0");
    this.#bytes = bytesTotal;
    return this.#end();
  }

  async #end(): Promise<AofLoaded> {
    await this.#settle();
    this.#tell(true);
    const last = this.#parts.at(-1);
    const isCut = last !== undefined && last.end < last.sizeBytes;
    return {
      ...this.#progress,
      truncated: isCut ? { file: last.file, byte: last.end } : undefined,
    };
  }

  async #send(args: readonly (Buffer | string)[], place: string): Promise<void> {
    const sent = this.#target.send(args).then(
      () => undefined,
      (cause: unknown) => {
        this.#failure ??= failed(place, args, cause);
      },
    );
    this.#inFlight.add(sent);
    void sent.then(() => this.#inFlight.delete(sent));
    if (this.#inFlight.size >= IN_FLIGHT_MAX) await Promise.race(this.#inFlight);
    if (this.#failure !== undefined) await this.#settle();
  }

  async #settle(): Promise<void> {
    await Promise.all(this.#inFlight);
    if (this.#failure !== undefined) throw this.#failure;
  }

  get #progress(): AofProgress {
    const bytesTotal = this.#parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    return { commands: this.#commands, keys: this.#keys, bytes: this.#bytes, bytesTotal };
  }

  #tell(isEnd: boolean): void {
    const count = this.#commands + this.#keys;
    if (!isEnd && count - this.#told < IN_FLIGHT_MAX) return;
    this.#told = count;
    this.#options.onProgress?.(this.#progress);
  }
}

interface Dumped {
  readonly key: Buffer;
  readonly value: RespValue;
  readonly ttlMs: number;
}

function dumpsOf(scratch: ScratchServer, keys: readonly Buffer[]): Promise<Dumped[]> {
  return Promise.all(
    keys.map(async (key) => ({
      key,
      value: await scratch.call("DUMP", key),
      ttlMs: numberOf(await scratch.call("PTTL", key)) ?? 0,
    })),
  );
}

/** FUNCTION DUMP of no function: a version and a checksum. */
const EMPTY_FUNCTIONS_BYTES = 10;

function failed(place: string, args: readonly (Buffer | string)[], cause: unknown): TwineError {
  const why = errorText(cause);
  return new TwineError(
    {
      code: "AOF_COMMAND_FAILED",
      message: `${place}: ${String(args[0])} failed: ${why}`,
      remedy: "correct the cause, empty the cluster with FLUSHALL, and load again",
    },
    { cause },
  );
}
