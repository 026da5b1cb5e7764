// aof-scratch.ts: an append only file in a redis-server of our own, which loads it by Redis's own rules.
import { mkdtempSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../ports/clock.ts";
import { encodeCommand } from "../../resp/encode.ts";
import { AOF_SETTINGS, aofPath, openScratchServer, type ScratchServer } from "../scratch-server.ts";
import { chunksOf, type Part, type ReadChunks } from "./examine-aof.ts";

export interface AofScratchOptions {
  /** The server's own folder, private and removed with it, is made here. */
  readonly home: string;
  /** Names the file in errors. */
  readonly loads: string;
  readonly clock: Clock;
  readonly settings?: readonly (readonly [string, ...string[]])[];
  readonly signal?: AbortSignal;
  /** Absent: the machine's files. */
  readonly read?: ReadChunks | undefined;
  /** Makes the file that the server loads. Absent: one of the machine's. */
  readonly create?: ((path: string) => Promise<CopyFile>) | undefined;
}

export interface CopyFile {
  write(bytes: Buffer): Promise<void>;
  close(): Promise<void>;
}

async function createCopy(path: string): Promise<CopyFile> {
  const file = await open(path, "wx", 0o600);
  return { write: (bytes) => file.writeFile(bytes), close: () => file.close() };
}

/** It holds all that is whole in `parts`. One file of them: every Redis reads that, also those that know no manifest. Throws SCRATCH_FAILED. */
export async function openAofScratch(
  parts: readonly Part[],
  options: AofScratchOptions,
): Promise<ScratchServer> {
  const { home, loads, clock, settings = [], signal } = options;
  const { read = chunksOf, create = createCopy } = options;
  const folder = mkdtempSync(join(home, "twine-aof-"));
  try {
    const copy = await create(aofPath(folder));
    try {
      for (const { file, end } of parts) {
        if (file !== parts[0]?.file) await copy.write(encodeCommand(["SELECT", "0"]));
        for (const chunk of read(file, 0, end)) {
          signal?.throwIfAborted();
          await copy.write(chunk);
        }
      }
    } finally {
      await copy.close();
    }
    return await openScratchServer({
      ...{ folder, loads, clock, settings: [...AOF_SETTINGS, ...settings] },
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}
