// examine-aof.ts: reads one file of an append only file through, and writes nothing: where its RDB ends and its last whole
// command, in which databases it works, and whether every command of it can be sent.
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { TwineError } from "../../core/errors.ts";
import { AofCommands, type AofUnit } from "./aof-commands.ts";
import { RdbEnd } from "../rdb-end.ts";

/** Why a command can't be loaded. */
export interface Unloadable {
  readonly why: string;
  /** Its keys lie in several sets: commands on single keys, as a rewritten file has them, could be loaded. */
  readonly isStray: boolean;
}

export interface Part {
  readonly file: string;
  /** Where the commands begin: behind the RDB, when there is one. */
  readonly from: number;
  /** Where the last whole command or transaction ends. */
  readonly end: number;
  readonly sizeBytes: number;
  /** Commands in it, those of transactions counted singly; SELECT, MULTI and EXEC are none. */
  readonly commandCount: number;
}

export interface ExamineOptions {
  /** An RDB may stand before the commands: only in the first file. */
  readonly isFirst: boolean;
  /** It may end in the middle of a command. */
  readonly mayBeCut: boolean;
  /** Databases that files before it, and then this one, work in: one at most. Absent: any number. */
  readonly dbs?: Set<number>;
  /** Absent: every command can be loaded. */
  whyNot?(args: readonly Buffer[]): Unloadable | undefined;
  /** Absent: the machine's files. */
  readonly read?: ReadChunks | undefined;
}

/** The bytes of a file from one offset up to another, or to its end. */
export type ReadChunks = (file: string, from: number, to: number) => Iterable<Buffer>;

const CHUNK_BYTES = 1024 * 1024;

/** Throws AOF_BROKEN, AOF_TRUNCATED, AOF_RDB_TRUNCATED, AOF_SEVERAL_DATABASES, AOF_COMMAND_REFUSED. */
export function examineFile(file: string, options: ExamineOptions): Part {
  const sizeBytes = statSync(file).size;
  const { read = chunksOf } = options;
  const from = options.isFirst ? rdbEndOf(file, sizeBytes, read) : 0;
  const commands = new AofCommands(file, from);
  let commandCount = 0;
  // As Redis, which begins every file in database 0 whatever stood in the one before.
  let db = 0;
  for (const unit of unitsOf(file, from, sizeBytes, { commands, read })) {
    for (const args of unit.commands) {
      if (isSelect(args)) {
        db = selectedDb(args, file, unit.at);
        continue;
      }
      const not = options.whyNot?.(args);
      if (not !== undefined) throw refused(file, unit.at, args, not);
      if (options.dbs !== undefined) noteDb(options.dbs, db, `${file}, byte ${unit.at}`);
      commandCount++;
    }
  }
  const end = commands.wholeEnd;
  if (end < sizeBytes && !options.mayBeCut) throw truncated(file, end, sizeBytes);
  return { file, from, end, sizeBytes, commandCount };
}

/** Throws AOF_SEVERAL_DATABASES when `db` is the second one. */
export function noteDb(dbs: Set<number>, db: number, place: string): void {
  dbs.add(db);
  if (dbs.size === 1) return;
  throw new TwineError({
    code: "AOF_SEVERAL_DATABASES",
    message: `${place}: databases ${[...dbs].join(" and ")}, and a cluster has one`,
    remedy: "load the databases one by one, each from a file of its own",
  });
}

export function isSelect(args: readonly Buffer[]): boolean {
  return args[0]?.toString("latin1").toLowerCase() === "select";
}

function selectedDb(args: readonly Buffer[], file: string, at: number): number {
  const text = args[1]?.toString("latin1") ?? "";
  if (args.length === 2 && /^\d{1,9}$/.test(text)) return Number(text);
  throw new TwineError({
    code: "AOF_BROKEN",
    message: `${file}, byte ${at}: SELECT ${text}: that is no database's number`,
    remedy: "Redis writes no such command: find out what wrote the file, or load one from before",
  });
}

/** The byte behind the RDB at the beginning of a file; 0 when it has none. Throws AOF_RDB_TRUNCATED. */
function rdbEndOf(file: string, sizeBytes: number, read: ReadChunks): number {
  const end = new RdbEnd();
  let isFirst = true;
  for (const chunk of read(file, 0, sizeBytes)) {
    if (isFirst && !/^(REDIS|VALKEY)\d/.test(chunk.toString("latin1", 0, 7))) return 0;
    isFirst = false;
    const found = end.push(chunk);
    if (found !== undefined) return found;
  }
  const found = isFirst ? 0 : end.finish();
  if (found !== undefined) return found;
  throw new TwineError({
    code: "AOF_RDB_TRUNCATED",
    message: `${file}: its RDB is not whole at byte ${sizeBytes}, the end of the file`,
    remedy: "take a whole file; half an RDB can't be loaded. One without rdbchecksum can't either",
  });
}

export function* chunksOf(file: string, from: number, to: number): Generator<Buffer> {
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

export function* unitsOf(
  file: string,
  from: number,
  to: number,
  { commands = new AofCommands(file, from), read = chunksOf as ReadChunks } = {},
): Generator<AofUnit> {
  for (const chunk of read(file, from, to)) {
    commands.push(chunk);
    for (let unit = commands.next(); unit !== undefined; unit = commands.next()) yield unit;
  }
}

/** Only a command over several keys becomes another one when its server writes the file anew. */
function refused(
  file: string,
  at: number,
  args: readonly Buffer[],
  { why, isStray }: Unloadable,
): TwineError {
  return new TwineError({
    code: "AOF_COMMAND_REFUSED",
    message: `${file}, byte ${at}: ${args[0]?.toString("latin1", 0, 64) ?? ""}: ${why}`,
    remedy: isStray
      ? "let its server write the file anew by BGREWRITEAOF: it then holds commands on single keys"
      : "let a redis-server that knows every command of the file load it and write it anew by " +
        "BGREWRITEAOF; one that Redis never writes into such a file must be cut out of a copy",
  });
}

function truncated(file: string, byte: number, sizeBytes: number): TwineError {
  return new TwineError({
    code: "AOF_TRUNCATED",
    message: `${file} is whole up to byte ${byte} of ${sizeBytes}; there a command begins and does not end`,
    remedy: "allowTruncated (twine-restore: --allow-truncated) loads what stands before it",
  });
}
