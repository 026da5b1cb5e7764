// aof-scratch.ts: an append only file in a redis-server of our own, which loads it by Redis's own rules.
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../ports/clock.ts";
import { encodeCommand } from "../../resp/encode.ts";
import { AOF_SETTINGS, aofPath, openScratchServer, type ScratchServer } from "../scratch-server.ts";
import { chunksOf, type Part } from "./examine-aof.ts";

export interface AofScratchOptions {
  /** The server's own folder, private and removed with it, is made here. */
  readonly home: string;
  /** Names the file in errors. */
  readonly loads: string;
  readonly clock: Clock;
  readonly settings?: readonly (readonly [string, ...string[]])[];
  readonly signal?: AbortSignal;
}

/** It holds all that is whole in `parts`. One file of them: every Redis reads that, also those that know no manifest. Throws SCRATCH_FAILED. */
export async function openAofScratch(
  parts: readonly Part[],
  { home, loads, clock, settings = [], signal }: AofScratchOptions,
): Promise<ScratchServer> {
  const folder = mkdtempSync(join(home, "twine-aof-"));
  try {
    const copy = openSync(aofPath(folder), "wx", 0o600);
    try {
      for (const { file, end } of parts) {
        if (file !== parts[0]?.file) writeSync(copy, encodeCommand(["SELECT", "0"]));
        for (const chunk of chunksOf(file, 0, end)) {
          signal?.throwIfAborted();
          for (let at = 0; at < chunk.length;) at += writeSync(copy, chunk, at);
        }
      }
    } finally {
      closeSync(copy);
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
