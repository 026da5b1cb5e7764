// aof-rdb.ts: an append only file as an RDB: a redis-server of our own loads it by Redis's own rules, whatever commands it
// holds, and gives an RDB of what it then has. The splitter does the rest, as with any RDB file.
import type { Clock } from "../../ports/clock.ts";
import { aofFiles } from "../../replication/aof/aof-files.ts";
import { openAofScratch } from "../../replication/aof/aof-scratch.ts";
import {
  chunksOf,
  examineFile,
  type Part,
  type ReadChunks,
} from "../../replication/aof/examine-aof.ts";
import { errorText } from "../../core/error-text.ts";
import { TwineError } from "../../core/errors.ts";
import { openRdbStream } from "../../replication/rdb-stream.ts";
import type { ScratchServer } from "../../replication/scratch-server.ts";
import { explained, unreadable, type PrivateFiles } from "./private-files.ts";

export interface AofRdbOptions {
  /** Private. The server's folder is made in it and removed. */
  readonly folder: string;
  readonly files: PrivateFiles;
  /** The last file may end in the middle of a command: what stands before that counts. */
  readonly allowTruncated: boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Absent: the machine's files. */
  readonly readAof?: ReadChunks | undefined;
}

/** Where an append only file ended in the middle of a command. */
export interface CutOff {
  readonly file: string;
  /** The first byte that does not count. */
  readonly byte: number;
  readonly sizeBytes: number;
}

const SETTINGS = [
  ["repl-diskless-sync-delay", "0"],
  ["databases", "1024"],
] as const;

/**
 * Writes the RDB of the append only file `aof`, a file or a folder with a manifest, to `path`, which does not exist. Throws
 * AOF_MISSING, AOF_MANIFEST_BAD, AOF_BROKEN, AOF_TRUNCATED, AOF_RDB_TRUNCATED, FILE_UNREADABLE, PRIVATE_FOLDER_FAILED or
 * SCRATCH_FAILED.
 */
export async function aofToRdb(
  aof: string,
  path: string,
  options: AofRdbOptions,
): Promise<CutOff | undefined> {
  const { folder, clock, signal, allowTruncated } = options;
  const read = explainedReads(options.readAof ?? chunksOf);
  const files = readable(aof, () => aofFiles(aof));
  const parts: Part[] = [];
  for (const [index, file] of files.entries()) {
    const mayBeCut = allowTruncated && index === files.length - 1;
    const how = { isFirst: index === 0, mayBeCut, read };
    parts.push(readable(file, () => examineFile(file, how)));
    // Reading is in one piece; Ctrl-C is seen between the files.
    await clock.delay(0);
    signal.throwIfAborted();
  }
  const server = await openAofScratch(parts, {
    ...{ home: folder, loads: aof, clock, settings: SETTINGS, signal },
    ...{ read, create: (file: string) => explained(options.files).create(file) },
  });
  try {
    await save(server, path, options).catch((error: unknown) => {
      signal.throwIfAborted();
      throw error instanceof TwineError ? error : gone(aof, error);
    });
  } finally {
    await server.close();
  }
  const last = parts.at(-1);
  if (last === undefined || last.end === last.sizeBytes) return undefined;
  return { file: last.file, byte: last.end, sizeBytes: last.sizeBytes };
}

/** What is wrong in the file says so itself; the rest is of the machine. */
function readable<T>(file: string, look: () => T): T {
  try {
    return look();
  } catch (error) {
    throw error instanceof TwineError ? error : unreadable(file, error);
  }
}

function explainedReads(read: ReadChunks): ReadChunks {
  return function* (file, from, to) {
    try {
      yield* read(file, from, to);
    } catch (error) {
      throw unreadable(file, error);
    }
  };
}

function gone(aof: string, error: unknown): TwineError {
  return new TwineError(
    {
      code: "SCRATCH_FAILED",
      message: `a redis-server of its own had loaded ${aof}, and gave no RDB of it: ${errorText(error)}`,
      remedy:
        "nothing was restored; see that this machine has memory for the data twice, and restore again",
    },
    { cause: error },
  );
}

async function save(
  server: ScratchServer,
  path: string,
  { clock, signal, files }: AofRdbOptions,
): Promise<void> {
  const file = await explained(files).create(path);
  try {
    const stream = openRdbStream({ path: server.path }, { credentials: undefined, signal, clock });
    for await (const chunk of stream.chunks()) await file.write(chunk);
  } finally {
    await file.close();
  }
}
