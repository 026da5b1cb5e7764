// offsets.ts: the last recorded replication offset of each data node, for SENTINEL REPLICAS.
// The alpha writes the record to the status nodes once a second. So it is read at most once a second, and only when a
// client asks.
import type { Clock } from "../../ports/clock.ts";
import { parseLastSeen } from "../observe/peer-reports.ts";

export interface Offsets {
  /** The offsets of the last reading. */
  known(): ReadonlyMap<string, number>;
  /** Reads the offsets again if they may have changed. Never rejects: without an answer the known ones stay. */
  refresh(): Promise<void>;
}

const FRESH_MS = 1000;

/** `read` returns data node -> JSON of LastSeen. */
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
