// folder-target.ts: backups in a folder, one folder each.
//
//   FOLDER/ID/in-progress.json      who writes it; gone with the commit
//   FOLDER/ID/partition-0.rdb ...   fsync
//   FOLDER/ID/manifest.json         last: written beside, fsync, rename, fsync of the folders
//
// Only names that are backups of this cluster are ever touched, whatever else lies there.
import { createReadStream } from "node:fs";
import { mkdir, readFile, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { TwineError } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import { isProcessAlive } from "../../ports/process-alive.ts";
import { archiveFolder } from "../archive/archive-names.ts";
import { byStart, MANIFEST_BYTES_MAX, MANIFEST_NAME, startOfId } from "../manifest.ts";
import { createFile, isMissing, syncFolder } from "./durable-files.ts";
import { folderArchive } from "./folder-archive.ts";
import { IN_PROGRESS, NOTE_BYTES_MAX, ownerIn, STALE_MS, type Owner } from "./in-progress.ts";
import {
  NOTES,
  type ArchiveStore,
  type BackupFile,
  type BackupTarget,
  type BackupWriter,
  type StoredBackup,
} from "./target.ts";

export interface FolderTargetOptions {
  /** As twine.conf names it. */
  readonly name: string;
  /** Absolute; made when it is not there. */
  readonly folder: string;
  readonly cluster: string;
  readonly clock: Clock;
  /** This process, for whoever finds a backup of ours under way. */
  readonly owner: Owner;
}

const READ_BYTES = 256 * 1024;

export function folderTarget(options: FolderTargetOptions): BackupTarget {
  return new FolderTarget(options);
}

class FolderTarget implements BackupTarget {
  readonly #options: FolderTargetOptions;
  readonly archive: ArchiveStore;

  constructor(options: FolderTargetOptions) {
    this.#options = options;
    const { folder, cluster, clock } = options;
    this.archive = folderArchive(join(folder, archiveFolder(cluster)), clock);
  }

  get name(): string {
    return this.#options.name;
  }

  async list(): Promise<readonly StoredBackup[]> {
    const found: StoredBackup[] = [];
    for (const { id, startedAtMs } of await this.#folders()) {
      const manifest = await this.#text(id, MANIFEST_NAME, MANIFEST_BYTES_MAX);
      if (manifest === undefined) continue;
      const notes = new Map<string, string>();
      for (const name of NOTES) {
        const text = await this.#text(id, name, NOTE_BYTES_MAX);
        if (text !== undefined) notes.set(name, text);
      }
      found.push({ id, startedAtMs, manifest, notes });
    }
    return found.toSorted(byStart);
  }

  async sweep(): Promise<void> {
    for (const { id } of await this.#folders()) {
      const isBackup = await exists(this.#path(id, MANIFEST_NAME));
      if (isBackup) continue;
      const owner = await this.#liveOwner(id);
      if (owner !== undefined) {
        throw new TwineError({
          code: "BACKUP_RUNNING",
          message: `another backup is writing to ${this.#path(id)} (${owner})`,
          remedy: "wait until it has ended, or end that process; then start this one again",
        });
      }
      await rm(this.#path(id), { recursive: true, force: true });
    }
  }

  async begin(id: string): Promise<BackupWriter> {
    const { folder, owner, clock } = this.#options;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await mkdir(this.#path(id), { mode: 0o700 });
    const note = { ...owner, startedAt: clock.wallTime() };
    await this.#put(id, IN_PROGRESS, `${JSON.stringify(note)}\n`);
    const open = new Set<BackupFile>();
    let isAborted = false;
    return {
      create: async (name) => {
        const file = await createFile(this.#path(id, name));
        open.add(file);
        // Aborted while it was made: nobody would close it any more.
        if (isAborted) {
          await file.close();
          throw new Error(`${name}: this copy was given up`);
        }
        return {
          write: (bytes) => file.write(bytes),
          close: () => {
            open.delete(file);
            return file.close();
          },
        };
      },
      commit: async (manifest) => {
        await this.#put(id, MANIFEST_NAME, manifest);
        await rm(this.#path(id, IN_PROGRESS), { force: true });
        await syncFolder(this.#path(id));
        await syncFolder(folder);
      },
      abort: async () => {
        isAborted = true;
        await Promise.allSettled([...open].map((file) => file.close()));
        await rm(this.#path(id), { recursive: true, force: true });
      },
    };
  }

  read(id: string, file: string): AsyncIterable<Buffer> {
    return createReadStream(this.#path(id, file), { highWaterMark: READ_BYTES });
  }

  writeNote(id: string, name: string, text: string): Promise<void> {
    return this.#put(id, name, text);
  }

  async remove(id: string): Promise<void> {
    await rm(this.#path(id, MANIFEST_NAME), { force: true });
    await syncFolder(this.#path(id));
    await rm(this.#path(id), { recursive: true, force: true });
  }

  #path(...parts: string[]): string {
    return join(this.#options.folder, ...parts);
  }

  async #folders(): Promise<{ readonly id: string; readonly startedAtMs: number }[]> {
    const names = await readdir(this.#options.folder).catch((error: unknown) => {
      if (isMissing(error)) return [];
      throw error;
    });
    return names.flatMap((id) => {
      const startedAtMs = startOfId(this.#options.cluster, id);
      return startedAtMs === undefined ? [] : [{ id, startedAtMs }];
    });
  }

  /** Who writes the backup at this moment, in words; undefined when nobody does. */
  async #liveOwner(id: string): Promise<string | undefined> {
    const note = await this.#text(id, IN_PROGRESS, NOTE_BYTES_MAX);
    const { host, pid } = ownerIn(note);
    const isHere = host === this.#options.owner.host;
    if (isHere && (pid === this.#options.owner.pid || !isProcessAlive(pid))) return undefined;
    const newestMs = await this.#newestMs(id);
    const isStale = Date.parse(this.#options.clock.wallTime()) - newestMs > STALE_MS;
    return isStale ? undefined : `process ${pid} on ${host}`;
  }

  /** When anything in the backup's folder changed last. */
  async #newestMs(id: string): Promise<number> {
    const names = await readdir(this.#path(id));
    const stats = await Promise.all(
      [".", ...names].map((name) => stat(this.#path(id, name)).catch(() => undefined)),
    );
    return Math.max(...stats.map((found) => found?.mtimeMs ?? 0));
  }

  async #put(id: string, name: string, text: string): Promise<void> {
    const path = this.#path(id, name);
    const part = await createFile(`${path}.part`);
    await part.write(Buffer.from(text));
    await part.close();
    await rename(`${path}.part`, path);
    await syncFolder(this.#path(id));
  }

  async #text(id: string, name: string, bytesMax: number): Promise<string | undefined> {
    const path = this.#path(id, name);
    try {
      const { size } = await stat(path);
      return size > bytesMax ? "" : await readFile(path, "utf8");
    } catch (error) {
      // One that can't be read is there all the same: the folder would look empty, and be filled again and again.
      if (isMissing(error)) return undefined;
      throw error;
    }
  }
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
