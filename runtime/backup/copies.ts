// copies.ts: the same backup into several targets at once. A target that fails is left out from then on and its failure
// kept; the others go on. Only when none is left does the backup end.
import { TwineError, type Problem } from "../core/errors.ts";
import type { BackupFile, BackupTarget, BackupWriter, TargetFailure } from "./targets/target.ts";
import { errorText } from "../core/error-text.ts";

export interface FileCopies {
  write(bytes: Buffer): Promise<void>;
  close(): Promise<void>;
}

interface Copy {
  readonly target: BackupTarget;
  readonly writer: BackupWriter;
}

export class Copies {
  readonly id: string;
  readonly #copies = new Set<Copy>();
  readonly #failures: TargetFailure[] = [];

  private constructor(id: string) {
    this.id = id;
  }

  /** Begins the backup in every target that can. Throws when there is none. */
  static async begin(id: string, targets: readonly BackupTarget[]): Promise<Copies> {
    const copies = new Copies(id);
    const begun = await Promise.allSettled(
      targets.map(async (target) => {
        await target.sweep();
        return { target, writer: await target.begin(id) };
      }),
    );
    for (const [index, outcome] of begun.entries()) {
      const target = targets[index]?.name ?? "";
      if (outcome.status === "fulfilled") copies.#copies.add(outcome.value);
      else copies.#failures.push({ target, problem: problemOf(outcome.reason, target) });
    }
    copies.#requireOne();
    return copies;
  }

  /** Targets that have no copy, with the reason of each. */
  get failures(): readonly TargetFailure[] {
    return this.#failures;
  }

  /** Targets that work, or hold the backup after the commit. */
  get targets(): readonly BackupTarget[] {
    return [...this.#copies].map(({ target }) => target);
  }

  async create(name: string): Promise<FileCopies> {
    const files = new Map<Copy, BackupFile>();
    await this.#onEach(async (copy) => void files.set(copy, await copy.writer.create(name)));
    return {
      write: (bytes) => this.#onEach(async (copy) => files.get(copy)?.write(bytes)),
      close: () => this.#onEach(async (copy) => files.get(copy)?.close()),
    };
  }

  async commit(manifest: string): Promise<void> {
    await this.#onEach(({ writer }) => writer.commit(manifest));
  }

  /** Removes what was written. */
  async abort(): Promise<void> {
    await Promise.allSettled([...this.#copies].map(({ writer }) => writer.abort()));
    this.#copies.clear();
  }

  async #onEach(task: (copy: Copy) => Promise<void>): Promise<void> {
    await Promise.all(
      [...this.#copies].map(async (copy) => {
        try {
          await task(copy);
        } catch (error) {
          await this.#drop(copy, error);
        }
      }),
    );
    this.#requireOne();
  }

  async #drop(copy: Copy, error: unknown): Promise<void> {
    if (!this.#copies.delete(copy)) return;
    const { name } = copy.target;
    this.#failures.push({ target: name, problem: problemOf(error, name) });
    await copy.writer.abort().catch(() => undefined);
  }

  #requireOne(): void {
    if (this.#copies.size > 0) return;
    throw new TwineError(this.#failures.map(({ problem }) => problem));
  }
}

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: "free space there, or let fewer backups be kept (backup-keep), and take the backup again",
  EACCES: "let the user who takes backups write there",
  EPERM: "let the user who takes backups write there",
  EROFS: "mount it for writing, or name another backup-dir",
  ENOTDIR: "name a folder as backup-dir",
};

export function problemOf(error: unknown, target: string): Problem {
  if (error instanceof TwineError) {
    return error.problems[0] ?? { code: "BACKUP_TARGET_FAILED", message: error.message };
  }
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const why = errorText(error);
  return {
    code: "BACKUP_TARGET_FAILED",
    message: `${target}: ${why}`,
    remedy: REMEDIES[code] ?? "see what is wrong there, mend it, and take the backup again",
  };
}
