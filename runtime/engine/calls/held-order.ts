// held-order.ts: call-order.ts for commands: finds their partitions by their keys, and limits how long they are queued
// before the engine is connected.
import type { Clock } from "../../ports/clock.ts";
import { CallOrder, type Entry, type Partitions } from "./call-order.ts";

/** How a program describes its calls, of type C. */
export interface HeldCalls<C> {
  readonly clock: Clock;
  readonly holdForMs: number;
  keysOf(call: C): readonly (string | Buffer)[];
  /** It only reads, from all partitions: later calls need not wait for it. */
  isOvertakable(call: C): boolean;
  /** "later": the hash has no result yet. */
  partitionOf(key: Buffer): number | "later";
  /** The error for calls that were queued for longer than hold-for. */
  whyNotReady(): Error;
  reject(call: C, error: Error): void;
}

export class HeldOrder<C> extends CallOrder<C> {
  readonly #program: HeldCalls<C>;
  #endHold: (() => void) | undefined;

  constructor(program: HeldCalls<C>) {
    super((call) => this.partitionsOf([call]));
    this.#program = program;
  }

  /** All entries are queued again until open(). */
  override shut(): void {
    super.shut();
    this.#endHold?.();
    this.#endHold = undefined;
  }

  /** Without `calls` the entry is for all partitions; when it is cancelled, `failing` is rejected. */
  enter(
    kind: Entry["kind"],
    calls: readonly C[] | undefined,
    start: Entry["start"],
    failing?: C,
  ): void {
    this.#enter({
      kind,
      start,
      isEndless: kind === "passing" && calls !== undefined,
      isOvertakable:
        kind === "call" && calls?.every((call) => this.#program.isOvertakable(call)) === true,
      partitions: () => (calls === undefined ? "all" : this.partitionsOf(calls)),
      fail: (error) => {
        const failed = calls ?? (failing === undefined ? [] : [failing]);
        for (const call of failed) this.#program.reject(call, error);
      },
    });
  }

  partitionsOf(calls: readonly C[]): Partitions {
    return this.#partitionsOfKeys(calls.flatMap((call) => this.#program.keysOf(call)));
  }

  /** Resolves when a unit of that key's partition may start, with the function that ends the unit. */
  turnOf(key: Buffer): Promise<() => void> {
    return new Promise((resolve, reject) => {
      const partitions = (): Partitions => this.#partitionsOfKeys([key]);
      this.#enter({ kind: "passing", isEndless: true, start: resolve, fail: reject, partitions });
    });
  }

  /** Call it when a call of those partitions failed because there is no master. Entries queued behind it for longer than
      hold-for fail too: submitted now, they would be held for hold-for once more. */
  failOverdue(partitions: Partitions, why: Error): void {
    if (partitions === "all" || !this.#isOverdue(this.oldestMs)) return;
    const isBehind = (entry: Entry): boolean => {
      if (!this.#isOverdue(entry.sinceMs)) return false;
      const own = entry.partitions();
      return own === "all" || own.some((one) => partitions.includes(one));
    };
    for (const entry of this.takeWaiting(isBehind)) entry.fail(why);
  }

  #isOverdue(sinceMs: number | undefined): boolean {
    const { clock, holdForMs } = this.#program;
    return sinceMs !== undefined && sinceMs + holdForMs <= clock.nowMs();
  }

  /** Before the engine is connected, nothing else limits how long calls are queued. */
  watchHold(): void {
    if (this.#endHold !== undefined || this.isOpen) return;
    const { clock, holdForMs } = this.#program;
    const sinceMs = this.oldestMs;
    if (sinceMs === undefined) return;
    const leftMs = Math.max(sinceMs + holdForMs - clock.nowMs(), 0);
    this.#endHold = clock.after(leftMs, () => {
      this.#endHold = undefined;
      if (this.isOpen) return;
      const why = this.#program.whyNotReady();
      const overdue = this.takeWaiting(({ sinceMs: oneMs }) => this.#isOverdue(oneMs));
      for (const entry of overdue) entry.fail(why);
      this.watchHold();
    });
  }

  #enter(entry: Omit<Entry, "sinceMs">): void {
    this.add({ ...entry, sinceMs: this.#program.clock.nowMs() });
    this.watchHold();
  }

  #partitionsOfKeys(keys: readonly (string | Buffer)[]): Partitions {
    const found = new Set<number>();
    for (const key of keys) {
      const partition = this.#program.partitionOf(Buffer.from(key));
      if (partition === "later") return "all";
      found.add(partition);
    }
    return found.size === 0 ? "all" : [...found];
  }
}
