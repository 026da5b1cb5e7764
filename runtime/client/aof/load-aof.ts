// load-aof.ts: an append only file into a cluster.
//
//   read through: whole? every command's keys in one set? one database?   -> an error, and nothing was written
//   RDB parts: scratch redis-server -> DUMP -> RESTORE                       commands: sent as they are, in their order
//
// The file is read twice, because the second time must not find out what the first could have told.
import { closeSync, mkdtempSync, openSync, readSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TwineError } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import { numberOf } from "../../resp/value.ts";
import { AofCommands, type AofUnit } from "./aof-commands.ts";
import { aofFiles } from "./aof-files.ts";
import { RdbEnd } from "./rdb-end.ts";
import { openScratchServer, rdbPath, scanned, type ScratchServer } from "./scratch-server.ts";

export interface AofProgress {
  /** Commands applied so far, those of transactions counted singly. */
  readonly commands: number;
  /** Keys restored from RDB parts so far. */
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
  /** Why a command can't be sent, or undefined. */
  whyNot(args: readonly Buffer[]): string | undefined;
  send(args: readonly (Buffer | string)[]): Promise<unknown>;
}

interface Part {
  readonly file: string;
  readonly scratch: ScratchServer | undefined;
  /** Where the commands begin and where the last whole one ends. */
  readonly from: number;
  readonly end: number;
  readonly sizeBytes: number;
}

const CHUNK_BYTES = 1024 * 1024;
const IN_FLIGHT_MAX = 1000;

/** Throws AOF_MISSING, AOF_MANIFEST_BAD, AOF_BROKEN, AOF_TRUNCATED, AOF_RDB_TRUNCATED, AOF_SEVERAL_DATABASES,
    AOF_COMMAND_REFUSED or SCRATCH_FAILED before anything is written; AOF_COMMAND_FAILED half way. */
export async function loadAof(
  path: string,
  options: AofOptions,
  target: AofTarget,
): Promise<AofLoaded> {
  const files = aofFiles(path);
  const parts: Part[] = [];
  const dbs = new Set<number>();
  try {
    for (const file of files) {
      const mayBeCut = options.allowTruncated === true && file === files.at(-1);
      parts.push(await examine(file, { mayBeCut, dbs, target }));
    }
    return await new Loading(parts, options, target).run();
  } finally {
    await Promise.all(parts.map(async ({ scratch }) => scratch?.close()));
  }
}

/** Reads a file through and writes nothing to the target. */
async function examine(
  file: string,
  { mayBeCut, dbs, target }: { mayBeCut: boolean; dbs: Set<number>; target: AofTarget },
): Promise<Part> {
  const sizeBytes = statSync(file).size;
  const from = rdbEndOf(file, sizeBytes);
  const scratch = from === 0 ? undefined : await openScratch(file, from, target.clock);
  try {
    for (const db of scratch?.dbs ?? []) noteDb(dbs, db, file, 0);
    const commands = new AofCommands(file, from);
    for (const unit of unitsOf(file, from, sizeBytes, commands)) {
      for (const args of unit.commands) {
        const db = selectedDb(args);
        if (db !== undefined) continue;
        const why = target.whyNot(args);
        if (why !== undefined) throw refused(file, unit.at, args, why);
      }
      noteSelected(unit, dbs, file);
    }
    const end = commands.wholeEnd;
    if (end < sizeBytes && !mayBeCut) throw truncated(file, end, sizeBytes);
    return { file, scratch, from, end, sizeBytes };
  } catch (error) {
    await scratch?.close();
    throw error;
  }
}

/** Redis writes SELECT before the first command of a file and before each change of database. */
function noteSelected(unit: AofUnit, dbs: Set<number>, file: string): void {
  for (const args of unit.commands) {
    const db = selectedDb(args);
    if (db !== undefined) noteDb(dbs, db, file, unit.at);
  }
}

function noteDb(dbs: Set<number>, db: number, file: string, at: number): void {
  dbs.add(db);
  if (dbs.size === 1) return;
  throw new TwineError({
    code: "AOF_SEVERAL_DATABASES",
    message: `${file}, byte ${at}: databases ${[...dbs].join(" and ")}, and a cluster has one`,
    remedy: "load the databases one by one, each from a file of its own",
  });
}

function selectedDb(args: readonly Buffer[]): number | undefined {
  const isSelect = args[0]?.toString("latin1").toLowerCase() === "select";
  return isSelect ? Number(args[1]?.toString("latin1")) : undefined;
}

/** The byte behind the RDB at the beginning of a file; 0 when it has none. Throws AOF_RDB_TRUNCATED. */
function rdbEndOf(file: string, sizeBytes: number): number {
  const end = new RdbEnd();
  let isFirst = true;
  for (const chunk of chunksOf(file, 0, sizeBytes)) {
    if (isFirst && chunk.toString("latin1", 0, 5) !== "REDIS") return 0;
    isFirst = false;
    const found = end.push(chunk);
    if (found !== undefined) return found;
  }
  if (isFirst) return 0;
  throw new TwineError({
    code: "AOF_RDB_TRUNCATED",
    message: `${file}: its RDB is not whole at byte ${sizeBytes}, the end of the file`,
    remedy: "take a whole file; half an RDB can't be loaded. One without rdbchecksum can't either",
  });
}

async function openScratch(file: string, end: number, clock: Clock): Promise<ScratchServer> {
  const folder = mkdtempSync(join(tmpdir(), "twine-aof-"));
  const copy = openSync(rdbPath(folder), "w");
  try {
    for (const chunk of chunksOf(file, 0, end)) writeSync(copy, chunk);
  } finally {
    closeSync(copy);
  }
  return openScratchServer(folder, file, clock);
}

function* chunksOf(file: string, from: number, to: number): Generator<Buffer> {
  const handle = openSync(file, "r");
  try {
    for (let at = from; at < to;) {
      // Not used again: what is cut from it stays true.
      const chunk = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, to - at));
      const count = readSync(handle, chunk, 0, chunk.length, at);
      if (count === 0) return;
      at += count;
      yield chunk.subarray(0, count);
    }
  } finally {
    closeSync(handle);
  }
}

function* unitsOf(
  file: string,
  from: number,
  to: number,
  commands = new AofCommands(file, from),
): Generator<AofUnit> {
  for (const chunk of chunksOf(file, from, to)) {
    commands.push(chunk);
    for (let unit = commands.next(); unit !== undefined; unit = commands.next()) yield unit;
  }
}

function refused(file: string, at: number, args: readonly Buffer[], why: string): TwineError {
  return new TwineError({
    code: "AOF_COMMAND_REFUSED",
    message: `${file}, byte ${at}: ${args[0]?.toString("latin1") ?? ""}: ${why}`,
    remedy:
      "let its server write the file anew by BGREWRITEAOF: it then holds commands on single keys",
  });
}

function truncated(file: string, byte: number, sizeBytes: number): TwineError {
  return new TwineError({
    code: "AOF_TRUNCATED",
    message: `${file} is whole up to byte ${byte} of ${sizeBytes}; there a command begins and does not end`,
    remedy: "give allowTruncated to load what stands before it",
  });
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

  async run(): Promise<AofLoaded> {
    for (const part of this.#parts) {
      const before = this.#bytes;
      if (part.scratch !== undefined) await this.#restore(part.scratch, part.file);
      for (const unit of unitsOf(part.file, part.from, part.end)) {
        for (const args of unit.commands) {
          if (selectedDb(args) !== undefined) continue;
          await this.#send(args, `${part.file}, byte ${unit.at}`);
          this.#commands++;
        }
        this.#bytes = before + unit.end;
        this.#tell(false);
      }
      await this.#settle();
      this.#bytes = before + part.sizeBytes;
    }
    this.#tell(true);
    const last = this.#parts.at(-1);
    const isCut = last !== undefined && last.end < last.sizeBytes;
    return {
      ...this.#progress,
      truncated: isCut ? { file: last.file, byte: last.end } : undefined,
    };
  }

  /** RESTORE replaces what is there under the same key, as the file's own commands would. */
  async #restore(scratch: ScratchServer, file: string): Promise<void> {
    await scratch.call("SELECT", String(scratch.dbs[0] ?? 0));
    const functions = await scratch.call("FUNCTION", "DUMP").catch(() => undefined);
    if (functions?.type === "bulk" && functions.bytes.length > EMPTY_FUNCTIONS_BYTES) {
      await this.#send(["FUNCTION", "RESTORE", functions.bytes, "REPLACE"], `${file}, functions`);
    }
    let cursor = "0";
    do {
      const step = scanned(await scratch.call("SCAN", cursor, "COUNT", "500"));
      ({ cursor } = step);
      const dumps = await Promise.all(
        step.keys.map(async (key) => ({
          key,
          value: await scratch.call("DUMP", key),
          ttlMs: numberOf(await scratch.call("PTTL", key)) ?? 0,
        })),
      );
      for (const { key, value, ttlMs } of dumps) {
        // Expired meanwhile.
        if (value.type !== "bulk" || ttlMs === 0 || ttlMs === -2) continue;
        const args = ["RESTORE", key, String(Math.max(ttlMs, 0)), value.bytes, "REPLACE"];
        await this.#send(args, `${file}, key '${key.toString("latin1", 0, 64)}'`);
        this.#keys++;
        this.#tell(false);
      }
    } while (cursor !== "0");
    await this.#settle();
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

/** FUNCTION DUMP of no function: a version and a checksum. */
const EMPTY_FUNCTIONS_BYTES = 10;

function failed(place: string, args: readonly (Buffer | string)[], cause: unknown): TwineError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new TwineError(
    {
      code: "AOF_COMMAND_FAILED",
      message: `${place}: ${String(args[0])} failed: ${why}`,
      remedy: "mend the cause, empty the cluster with FLUSHALL, and load again",
    },
    { cause },
  );
}
