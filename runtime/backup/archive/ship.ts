// ship.ts: one target's way out of the spool: every file in order, and many small ones joined to a larger one.
//
//   spool --> put (again until it works) --> block after block ... --> JOIN_BLOCKS of them: one file in their place
import type { Problem } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import { problemOf } from "../copies.ts";
import type { ArchiveStore, BackupTarget } from "../targets/target.ts";
import { parseArchiveName, segmentName, type SegmentName } from "./archive-names.ts";
import type { Spool, Spooled, SpoolReader } from "./spool.ts";

export interface ShipOptions {
  readonly target: Pick<BackupTarget, "name" | "archive">;
  readonly clock: Clock;
  /** Another list of files is there: what was stored, and what has gone since. */
  readonly onStored: (stored: string, gone: readonly string[]) => void;
  /** A file was left out: the spool is full. */
  readonly onDropped: (name: string) => void;
}

const RETRY_MS = 1000;
/** So many small files, or so many bytes of them, become one. */
const JOIN_BLOCKS = 256;
const JOIN_BYTES = 32 * 1024 * 1024;
/** Files of that size each are left as they are. */
const LARGE_BYTES = 1024 * 1024;

interface Stored extends SegmentName {
  readonly bytes: number;
}

/** Whether these files of one run, one behind the other, are to be joined now. Pure. */
export function isJoinDue(
  stored: readonly { readonly bytes: number }[],
  isRunOver: boolean,
): boolean {
  const bytes = stored.reduce((sum, file) => sum + file.bytes, 0);
  return stored.length > 1 && (isRunOver || stored.length >= JOIN_BLOCKS || bytes >= JOIN_BYTES);
}

export class Shipper implements SpoolReader {
  readonly #options: ShipOptions;
  readonly #store: ArchiveStore;
  readonly #queue: Spooled[] = [];
  #spool: Spool | undefined;
  #wake: () => void = () => undefined;
  #isStopped = false;
  #joinable: Stored[] = [];
  #joining: Promise<void> = Promise.resolve();
  #isJoining = false;
  #problem: Problem | undefined;

  constructor(options: ShipOptions) {
    this.#options = options;
    this.#store = options.target.archive;
  }

  /** Why the last attempt failed; undefined: it did not. */
  get problem(): Problem | undefined {
    return this.#problem;
  }

  get name(): string {
    return this.#options.target.name;
  }

  offer(file: Spooled): void {
    this.#queue.push(file);
    this.#wake();
  }

  drop(file: Spooled): void {
    const at = this.#queue.indexOf(file);
    if (at < 0) return;
    this.#queue.splice(at, 1);
    this.#options.onDropped(file.name);
  }

  /** Until stop(). */
  async run(spool: Spool): Promise<void> {
    this.#spool = spool;
    for (;;) {
      const file = this.#queue[0];
      if (file === undefined) {
        if (this.#isStopped) break;
        await new Promise<void>((resolve) => (this.#wake = resolve));
        continue;
      }
      if (!(await this.#ship(file)) && this.#isStopped) break;
    }
    await this.#joining;
  }

  /** Ships what waits, but tries nothing twice. */
  stop(): void {
    this.#isStopped = true;
    this.#wake();
  }

  async #ship(file: Spooled): Promise<boolean> {
    const spool = this.#spool;
    if (spool === undefined) return false;
    try {
      const bytes = await spool.read(file);
      await this.#store.put(file.name, bytes);
    } catch (error) {
      // Dropped while it was read.
      if (this.#queue[0] !== file) return true;
      this.#problem = problemOf(error, this.name);
      if (!this.#isStopped) await this.#options.clock.delay(RETRY_MS);
      return false;
    }
    this.#problem = undefined;
    // It may have been dropped while it was on its way; then it is there all the same.
    if (this.#queue[0] === file) {
      this.#queue.shift();
      spool.release(file);
    }
    this.#options.onStored(file.name, []);
    this.#noteForJoin(file);
    return true;
  }

  #noteForJoin({ name, bytes }: Spooled): void {
    const parsed = parseArchiveName(name);
    const last = this.#joinable.at(-1);
    const isNextOf =
      parsed?.kind === "segment" && parsed.run === last?.run && parsed.first === last.last + 1;
    if (last !== undefined && !isNextOf) this.#joinNow(true);
    if (parsed?.kind !== "segment") return;
    if (bytes > LARGE_BYTES) {
      this.#joinNow(true);
      return;
    }
    this.#joinable.push({ ...parsed, bytes });
    this.#joinNow(false);
  }

  #joinNow(isRunOver: boolean): void {
    if (!isJoinDue(this.#joinable, isRunOver)) {
      if (isRunOver) this.#joinable = [];
      return;
    }
    // The next one waits for this one: more small files lie there meanwhile, that is all.
    if (this.#isJoining && !isRunOver) return;
    const files = this.#joinable;
    this.#joinable = [];
    this.#isJoining = true;
    this.#joining = this.#joining
      .then(() => this.#join(files))
      .finally(() => {
        this.#isJoining = false;
      });
  }

  async #join(files: readonly Stored[]): Promise<void> {
    const [first, last] = [files[0], files.at(-1)];
    if (first === undefined || last === undefined) return;
    const { run } = first;
    const name = segmentName({
      ...{ run, first: first.first, last: last.last },
      ...{ firstMs: first.firstMs, lastMs: last.lastMs },
    });
    const gone: string[] = [];
    try {
      await this.#store.join(
        name,
        files.map((file) => file.name),
      );
      for (const file of files) {
        await this.#store.remove(file.name);
        gone.push(file.name);
      }
    } catch (error) {
      // Small files say the same as a large one.
      this.#problem = problemOf(error, this.name);
    }
    if (gone.length > 0) this.#options.onStored(name, gone);
  }
}
