// disk.ts: what a data node's disk gives back after each kind of end (tried on redis-server 7.0.15).
//
//   aof   every executed write is in the kernel before it is answered: a killed process loses none, a lost machine at
//         most the last second; replication id and offset are lost
//   rdb   the last save: its writes, id and offset; nothing since
//   none  nothing
import type { Snapshot, Writes } from "./replication-link.ts";

export type Persistence = "aof" | "rdb" | "none";

const NOTHING: Snapshot = { writes: [], count: 0, replicationId: "", offset: 0 };

const FSYNC_EVERY_MS = 1000;

export class Disk {
  readonly persistence: Persistence;
  readonly #saveEveryMs: number;
  #kept: Snapshot = NOTHING;
  /** Of an AOF: what a lost machine gives back. */
  #syncedCount = 0;
  #savedAtMs = 0;

  constructor(persistence: Persistence, saveEveryMs: number) {
    this.persistence = persistence;
    this.#saveEveryMs = saveEveryMs;
  }

  /** Called before each write is executed, with what was there until then, and by whoever wants time to pass. */
  pass(nowMs: number, before: Snapshot): void {
    if (this.persistence === "aof") {
      if (nowMs - this.#savedAtMs < FSYNC_EVERY_MS) return;
      this.#syncedCount = before.count;
    } else if (this.persistence === "rdb") {
      if (nowMs - this.#savedAtMs < this.#saveEveryMs) return;
      this.#kept = copyOf(before);
    }
    this.#savedAtMs = nowMs;
  }

  /** Writes were appended in memory: an AOF has them at once. */
  appended(writes: Writes): void {
    if (this.persistence === "aof") {
      this.#kept = { writes, count: writes.length, replicationId: "", offset: 0 };
    }
  }

  /** A full sync put another dataset in place; it came as an RDB, which is kept, and an AOF is rewritten. */
  replaced(nowMs: number, now: Snapshot): void {
    if (this.persistence === "none") return;
    this.#kept = copyOf(now);
    this.#syncedCount = now.count;
    this.#savedAtMs = nowMs;
  }

  /** What a new process finds. */
  load(): { readonly snapshot: Snapshot; readonly hasHistory: boolean } {
    const hasHistory = this.persistence === "rdb" && this.#kept.replicationId !== "";
    return { snapshot: this.#kept, hasHistory };
  }

  /** The machine lost its power: what was not fsynced is gone. Answers how many writes that are. */
  losePower(): number {
    if (this.persistence !== "aof") return 0;
    const lost = this.#kept.count - this.#syncedCount;
    this.#kept = copyOf({ ...this.#kept, count: this.#syncedCount });
    return lost;
  }

  empty(): void {
    this.#kept = NOTHING;
    this.#syncedCount = 0;
  }
}

function copyOf({ writes, count, replicationId, offset }: Snapshot): Snapshot {
  return { writes: writes.slice(0, count), count, replicationId, offset };
}
