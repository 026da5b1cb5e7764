// call-order.ts: keeps the order of one program's commands when they use several connections. Pure.
//
//   call    a single command. The engine keeps the order of each partition, so most calls are submitted at once.
//   unit    a transaction, a blocking command or WAIT. It runs on a session of its own, where the engine keeps no order
//           with the calls.
//
//   1. A unit starts when every earlier call and gating unit of its partitions has its reply.
//   2. A call is submitted when no earlier entry of its partitions is queued and no gating unit of them is running.
//   3. A blocking command gates nothing: later commands do not wait for it. Later commands do not wait for DBSIZE and
//      other reads of all partitions either.
//
// An outage of one partition therefore delays no other partition. While nothing is queued and no gating unit is running, a
// call costs one array slot; its partitions are computed only when a unit needs them. A queued entry is in the queue of
// each of its partitions. When an entry ends, only the heads of its own queues are checked, so all costs are linear.
import { Fifo } from "./fifo.ts";

/** "all": the command has no keys, or their partitions are not known yet. */
export type Partitions = readonly number[] | "all";

export interface Entry {
  /** Called once, when the partitions are first needed. */
  partitions(): Partitions;
  /** Submits it. A unit calls `over` when it has ended. */
  start(over: () => void): void;
  /** Called instead of start() when the entry is cancelled. */
  fail(error: Error): void;
  readonly sinceMs: number;
  /** A read of all partitions: later entries do not wait until it starts. */
  readonly isOvertakable?: boolean;
  /** quit() does not wait until it starts. */
  readonly isEndless?: boolean;
  /** call: ended by settle(). gating: a unit that later entries wait for. passing: a unit that they do not wait for. */
  readonly kind: "call" | "gating" | "passing";
}

/** The queue of one partition, of entries for all partitions, or of entries for all partitions with isOvertakable. */
type QueueName = number | "all" | "overtakable";

interface Waiting {
  readonly entry: Entry;
  readonly number: number;
  /** Undefined until the order is open. */
  partitions: Partitions | undefined;
}

export class CallOrder<C> {
  readonly #partitionsOf: (call: C) => Partitions;
  readonly #calls: (C | undefined)[] = [];
  readonly #free: number[] = [];
  #callCount = 0;
  /** Partitions of the calls by tag, filled when a unit needs them; below, the number of calls by partition. */
  readonly #places: (Partitions | undefined)[] = [];
  readonly #placed = new Map<number | "all", number>();
  /** begin() computes the partitions of this many further calls. After that, the next unit scans all calls again: the scan
      then costs no more than the calls that came since the last one. */
  #placesLeft = 0;

  /** Partitions with a running gating unit. */
  readonly #gated = new Set<number | "all">();
  #passingCount = 0;

  #lastNumber = 0;
  #waiting = new Set<Waiting>();
  /** Queued entries, by partition. */
  readonly #queues = new Map<QueueName, Fifo<Waiting>>();
  /** Queues whose head may be able to start. */
  readonly #dirty = new Set<QueueName>();
  #isOpen = false;
  #isAdvancing = false;
  #whenIdle: (() => void)[] = [];

  /** Closed at first: all entries are queued until open(). */
  constructor(partitionsOf: (call: C) => Partitions) {
    this.#partitionsOf = partitionsOf;
  }

  /** A new call may be submitted at once. */
  get isFree(): boolean {
    const isClear = this.#gated.size === 0 && this.#waiting.size === 0;
    return isClear && this.#isOpen && !this.#isAdvancing;
  }

  /** Registers a call that is being submitted; returns its tag. */
  begin(call: C): number {
    const tag = this.#free.pop() ?? this.#calls.length;
    this.#calls[tag] = call;
    this.#callCount++;
    if (this.#placesLeft > 0) {
      this.#placesLeft--;
      this.#place(call, tag);
    }
    return tag;
  }

  /** Removes the call that has its reply and returns it; undefined when it was cancelled before. */
  settle(tag: number): C | undefined {
    const call = this.#calls[tag];
    if (call === undefined) return undefined;
    this.#calls[tag] = undefined;
    this.#free.push(tag);
    this.#callCount--;
    const partitions = this.#places[tag];
    if (partitions !== undefined) {
      this.#places[tag] = undefined;
      for (const partition of listOf(partitions)) this.#unplace(partition);
    }
    if (this.#waiting.size > 0) {
      if (this.#callCount === 0) this.#dirty.add("all");
      this.#advance();
    } else if (this.#callCount === 0) this.#idle();
    return call;
  }

  add(entry: Entry): void {
    const waiting: Waiting = { entry, number: ++this.#lastNumber, partitions: undefined };
    this.#waiting.add(waiting);
    if (!this.#isOpen) return;
    this.#queue(waiting, entry.partitions());
    this.#advance();
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** When the oldest queued entry was added. */
  get oldestMs(): number | undefined {
    for (const { entry } of this.#waiting) return entry.sinceMs;
    return undefined;
  }

  open(): void {
    this.#isOpen = true;
    for (const waiting of [...this.#waiting]) {
      if (waiting.partitions === undefined) this.#queue(waiting, waiting.entry.partitions());
      this.#advance();
    }
  }

  shut(): void {
    this.#isOpen = false;
  }

  /** Runs `task` once no call, unit or queued entry is left. */
  whenIdle(task: () => void): void {
    this.#whenIdle.push(task);
    this.#idle();
  }

  /** Removes and returns all calls that have no reply yet. */
  takeCalls(): C[] {
    const calls = this.#calls.filter((call) => call !== undefined);
    this.#calls.forEach((call, tag) => {
      if (call !== undefined) this.settle(tag);
    });
    return calls;
  }

  /** Removes and returns the queued entries for which `isChosen` is true; all of them by default. */
  takeWaiting(isChosen: (entry: Entry) => boolean = () => true): Entry[] {
    const chosen: Entry[] = [];
    const left: Waiting[] = [];
    for (const waiting of this.#waiting) {
      if (isChosen(waiting.entry)) chosen.push(waiting.entry);
      else left.push(waiting);
    }
    this.#waiting = new Set(left);
    this.#queues.clear();
    for (const waiting of left) {
      if (waiting.partitions !== undefined) this.#queue(waiting, waiting.partitions);
    }
    this.#advance();
    return chosen;
  }

  #queue(waiting: Waiting, partitions: Partitions): void {
    waiting.partitions = partitions;
    for (const name of queuesOf(waiting.entry, partitions)) {
      let queue = this.#queues.get(name);
      if (queue === undefined) this.#queues.set(name, (queue = new Fifo()));
      queue.push(waiting);
      // Behind another entry it can't start yet.
      if (queue.head === waiting) this.#dirty.add(name);
    }
  }

  /** Starts every entry that may start; in order within each partition. */
  #advance(): void {
    if (this.#isAdvancing) return;
    this.#isAdvancing = true;
    while (this.#isOpen && this.#dirty.size > 0) {
      const [first = "all"] = this.#dirty;
      // Overtakable entries are checked first. Otherwise a steady flow of transactions could delay them forever.
      const name = this.#dirty.has("overtakable") ? "overtakable" : first;
      this.#dirty.delete(name);
      const head = this.#queues.get(name)?.head;
      if (head !== undefined && this.#mayStart(head)) this.#start(head);
    }
    this.#isAdvancing = false;
    this.#idle();
  }

  #mayStart({ entry, number, partitions = "all" }: Waiting): boolean {
    const isUnit = entry.kind !== "call";
    if (partitions === "all") {
      for (const [name, { head }] of this.#queues) {
        if (head && head.number < number && name !== "overtakable") return false;
      }
      return this.#gated.size === 0 && !(isUnit && this.#callCount > 0);
    }
    const isBehindAll = (this.#queues.get("all")?.head?.number ?? number) < number;
    if (isBehindAll || this.#gated.has("all")) return false;
    for (const partition of partitions) {
      if (this.#queues.get(partition)?.head?.number !== number) return false;
      if (this.#gated.has(partition)) return false;
    }
    if (!isUnit || this.#callCount === 0) return true;
    this.#placeCalls();
    return !this.#placed.has("all") && !partitions.some((one) => this.#placed.has(one));
  }

  #start(waiting: Waiting): void {
    const { entry, partitions = "all" } = waiting;
    this.#waiting.delete(waiting);
    for (const name of queuesOf(entry, partitions)) {
      this.#queues.get(name)?.shift();
      this.#release(name);
    }
    if (entry.kind === "call") {
      entry.start(() => undefined);
      return;
    }
    const isGating = entry.kind === "gating";
    if (isGating) for (const partition of listOf(partitions)) this.#gated.add(partition);
    else this.#passingCount++;
    let isOver = false;
    entry.start(() => {
      if (isOver) return;
      isOver = true;
      if (!isGating) this.#passingCount--;
      else {
        for (const partition of listOf(partitions)) {
          this.#gated.delete(partition);
          this.#release(partition);
        }
      }
      this.#advance();
    });
  }

  /** An entry of that partition started or ended: the head of its queue, and of the queues for all, may start now. */
  #release(name: QueueName): void {
    if (this.#waiting.size === 0) return;
    if (name === "all") for (const other of this.#queues.keys()) this.#dirty.add(other);
    else this.#dirty.add(name).add("all").add("overtakable");
  }

  #placeCalls(): void {
    if (this.#placesLeft === 0) {
      this.#calls.forEach((call, tag) => {
        if (call !== undefined && this.#places[tag] === undefined) this.#place(call, tag);
      });
    }
    this.#placesLeft = this.#calls.length;
  }

  #place(call: C, tag: number): void {
    const partitions = this.#partitionsOf(call);
    this.#places[tag] = partitions;
    for (const partition of listOf(partitions)) {
      this.#placed.set(partition, (this.#placed.get(partition) ?? 0) + 1);
    }
  }

  #unplace(partition: number | "all"): void {
    const left = (this.#placed.get(partition) ?? 1) - 1;
    if (left > 0) {
      this.#placed.set(partition, left);
      return;
    }
    this.#placed.delete(partition);
    this.#release(partition);
  }

  #idle(): void {
    const isBusy = this.#callCount + this.#gated.size + this.#passingCount + this.#waiting.size > 0;
    if (isBusy || this.#isAdvancing || this.#whenIdle.length === 0) return;
    for (const task of this.#whenIdle.splice(0)) task();
  }
}

function listOf(partitions: Partitions): readonly (number | "all")[] {
  return partitions === "all" ? ALL : partitions;
}

function queuesOf({ isOvertakable }: Entry, partitions: Partitions): readonly QueueName[] {
  return partitions === "all" && isOvertakable === true ? OVERTAKABLE : listOf(partitions);
}

const ALL = ["all"] as const;
const OVERTAKABLE = ["overtakable"] as const;
