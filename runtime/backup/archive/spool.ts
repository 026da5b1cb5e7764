// spool.ts: files that are on their way to the targets, in a private folder of this machine, so that a slow target takes disk
// and not memory, and of that a bounded part.
//
//   add --> file --> each target takes it at its pace --> the last one has it: removed
//   more than bytesMax wait: the oldest segment is dropped, and every target that has not got it learns so
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isProcessAlive } from "../../ports/process-alive.ts";

export interface Spooled {
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
  /** A head is small and never dropped: what comes behind it means nothing without it. */
  readonly isHead: boolean;
}

/** A target that takes files. */
export interface SpoolReader {
  /** Another file is there for it. */
  offer(file: Spooled): void;
  /** A file is dropped: whoever still needs it does without. */
  drop(file: Spooled): void;
}

const PREFIX = "twine-archive-";

export class Spool {
  readonly #folder: string;
  readonly #bytesMax: number;
  readonly #readers: readonly SpoolReader[];
  /** What waits, oldest first, and how many readers still need it. */
  readonly #waiting = new Map<Spooled, number>();
  #bytes = 0;
  #count = 0;

  constructor(folder: string, bytesMax: number, readers: readonly SpoolReader[]) {
    this.#folder = folder;
    this.#bytesMax = bytesMax;
    this.#readers = readers;
  }

  /** A new private folder in `home`; those of archivers that were killed are removed. */
  static folderIn(home: string, pid: number): string {
    for (const name of readdirSync(home)) {
      const owner = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1];
      if (owner === undefined || (isProcessAlive(Number(owner)) && Number(owner) !== pid)) continue;
      const path = join(home, name);
      if (statSync(path, { throwIfNoEntry: false })?.uid !== process.getuid?.()) continue;
      rmSync(path, { recursive: true, force: true });
    }
    return mkdtempSync(join(home, `${PREFIX}${pid}-`));
  }

  get bytes(): number {
    return this.#bytes;
  }

  async add(name: string, bytes: Buffer, isHead: boolean): Promise<void> {
    const path = join(this.#folder, String(++this.#count));
    await writeFile(path, bytes, { mode: 0o600 });
    const file = { name, path, bytes: bytes.length, isHead };
    this.#waiting.set(file, this.#readers.length);
    this.#bytes += file.bytes;
    this.#makeRoom(file);
    for (const reader of this.#readers) reader.offer(file);
  }

  read(file: Spooled): Promise<Buffer> {
    return readFile(file.path);
  }

  /** One reader needs it no more. */
  release(file: Spooled): void {
    const left = (this.#waiting.get(file) ?? 1) - 1;
    if (left > 0) this.#waiting.set(file, left);
    else this.#remove(file);
  }

  /** Removes the folder. */
  async close(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  #makeRoom(newest: Spooled): void {
    for (const file of [...this.#waiting.keys()]) {
      if (this.#bytes <= this.#bytesMax) break;
      if (file.isHead || file === newest) continue;
      for (const reader of this.#readers) reader.drop(file);
      this.#remove(file);
    }
  }

  #remove(file: Spooled): void {
    if (!this.#waiting.delete(file)) return;
    this.#bytes -= file.bytes;
    // One that stays goes with the folder.
    rm(file.path, { force: true }).catch(() => undefined);
  }
}
