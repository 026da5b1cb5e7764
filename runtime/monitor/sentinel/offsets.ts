// offsets.ts: how much of the replication stream each data node was last recorded with, for SENTINEL REPLICAS.
// The alpha writes the record to the status nodes once a second; so it is read at most once a second, and only while
// somebody asks.
import type { Clock } from "../../ports/clock.ts";
import { parseLastSeen } from "../observe/notices.ts";

export interface Offsets {
  /** What was read last. */
  known(): ReadonlyMap<string, number>;
  /** Reads them again when they may have changed. Never rejects: without an answer the known ones stand. */
  refresh(): Promise<void>;
}

const FRESH_MS = 1000;

/** `read` gives data node -> JSON of LastSeen. */
export function cachedOffsets(
  clock: Clock,
  read: () => Promise<ReadonlyMap<string, string>>,
  onTrouble: (error: unknown) => void,
): Offsets {
  let known: ReadonlyMap<string, number> = new Map();
  let askedAtMs = -Infinity;
  let asking: Promise<void> | undefined;
  const ask = async (): Promise<void> => {
    try {
      known = offsetsOf(await read());
    } catch (error) {
      onTrouble(error);
    }
  };
  return {
    known: () => known,
    refresh: async () => {
      const nowMs = clock.nowMs();
      if (asking === undefined && nowMs - askedAtMs >= FRESH_MS) {
        askedAtMs = nowMs;
        asking = ask().finally(() => {
          asking = undefined;
        });
      }
      await asking;
    },
  };
}

function offsetsOf(record: ReadonlyMap<string, string>): Map<string, number> {
  const offsets = new Map<string, number>();
  for (const [node, json] of record) {
    const seen = parseLastSeen(json);
    if (seen !== undefined) offsets.set(node, seen.offset);
  }
  return offsets;
}
