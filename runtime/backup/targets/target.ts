// target.ts: where backups lie, as a port: folders and buckets by the same interface.
//
//   begin(id) -> create(file)... write, close -> commit(manifest)      a backup exists from the commit on
//                                             \-> abort()              nothing of it is left
import type { Problem } from "../../core/errors.ts";

export interface BackupTarget {
  /** As twine.conf names it. */
  readonly name: string;
  /** Backups of this cluster that have a manifest, oldest first. */
  list(): Promise<readonly StoredBackup[]>;
  /** Removes what interrupted backups left; a backup that is under way is an error (BACKUP_RUNNING). */
  sweep(): Promise<void>;
  begin(id: string): Promise<BackupWriter>;
  /** A file of a backup, from its beginning. */
  read(id: string, file: string): AsyncIterable<Buffer>;
  /** Notes beside the manifest, such as when it was verified. */
  writeNote(id: string, name: string, text: string): Promise<void>;
  /** The manifest first: what is left of a backup that is half deleted is no backup. */
  remove(id: string): Promise<void>;
  /** The archive beside the backups. */
  readonly archive: ArchiveStore;
}

/** Where the files of a cluster's archive lie: each is written once, and is there as a whole or not at all. */
export interface ArchiveStore {
  /** Removes what an interrupted archiver left half written. */
  sweep(): Promise<void>;
  /** Names of all files. */
  list(): Promise<readonly string[]>;
  /** Stored when it resolves; one of that name is replaced. */
  put(name: string, bytes: Buffer): Promise<void>;
  /** One file out of others, one behind the other. */
  join(name: string, parts: readonly string[]): Promise<void>;
  read(name: string): AsyncIterable<Buffer>;
  /** One that is not there is no error. */
  remove(name: string): Promise<void>;
}

export interface StoredBackup {
  readonly id: string;
  readonly startedAtMs: number;
  /** The manifest's text; parse it by parseManifest(). */
  readonly manifest: string;
  /** Note name -> text. */
  readonly notes: ReadonlyMap<string, string>;
}

export interface BackupWriter {
  create(file: string): Promise<BackupFile>;
  commit(manifest: string): Promise<void>;
  abort(): Promise<void>;
}

export interface BackupFile {
  write(bytes: Buffer): Promise<void>;
  /** On the disk when it resolves. */
  close(): Promise<void>;
}

/** Notes that a backup may have. */
export const NOTES = ["verified.json", "rehearsed.json"] as const;

/** One target without a copy, or without what was asked of it. */
export interface TargetFailure {
  readonly target: string;
  readonly problem: Problem;
}
