// s3-target.ts: backups in a bucket, under the same names as in a folder:
//
//   s3://BUCKET/PREFIX/ID/in-progress.json      who writes it, written again every minute; gone with the commit
//   s3://BUCKET/PREFIX/ID/partition-0.rdb ...   each there as a whole or not at all
//   s3://BUCKET/PREFIX/ID/manifest.json         last
//
// Only keys that are backups of this cluster are ever touched, whatever else lies there.
import type { S3Place } from "../../core/backup-place.ts";
import { TwineError } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import { startPeriodicTask, type PeriodicTask } from "../../ports/periodic-task.ts";
import { isProcessAlive } from "../../ports/process-alive.ts";
import { archiveFolder } from "../archive/archive-names.ts";
import { byStart, MANIFEST_BYTES_MAX, MANIFEST_NAME, startOfId } from "../manifest.ts";
import { IN_PROGRESS, NOTE_BYTES_MAX, ownerIn, STALE_MS, type Owner } from "./in-progress.ts";
import { Bucket, S3_LIMITS, type S3Limits } from "./s3-client.ts";
import { S3Objects, type StoredObject } from "./s3-objects.ts";
import { Upload } from "./s3-upload.ts";
import { s3Archive } from "./s3-archive.ts";
import {
  NOTES,
  type ArchiveStore,
  type BackupTarget,
  type BackupWriter,
  type StoredBackup,
} from "./target.ts";

export interface S3TargetOptions {
  /** As twine.conf names it. */
  readonly name: string;
  readonly place: S3Place;
  readonly cluster: string;
  readonly clock: Clock;
  /** This process, for whoever finds a backup of ours under way. */
  readonly owner: Owner;
  /** Names another endpoint than Amazon's; the client library reads the process's own. */
  readonly env: NodeJS.ProcessEnv;
  /** @default S3_LIMITS */
  readonly limits?: S3Limits;
  /** The store keeps this waiting; for people. */
  readonly onWaiting?: ((text: string) => void) | undefined;
}

/** How often a backup under way says so. Well below STALE_MS, so that a few may be lost. */
const BEAT_MS = 60_000;
const AT_ONCE = 8;

/** Sends nothing before it is asked for something. */
export function s3Target(options: S3TargetOptions): BackupTarget {
  return new S3Target(options);
}

interface Found {
  readonly id: string;
  readonly startedAtMs: number;
  /** File name -> object. */
  readonly files: Map<string, StoredObject>;
}

class S3Target implements BackupTarget {
  readonly #options: S3TargetOptions;
  readonly #bucket: Bucket;
  readonly #objects: S3Objects;
  readonly #limits: S3Limits;
  readonly archive: ArchiveStore;
  /** Manifests and notes by their keys, as the last list showed them: who lists again and again reads only what is new. */
  #texts = new Map<string, { readonly object: StoredObject; readonly text: string }>();

  constructor(options: S3TargetOptions) {
    const { name, place, clock, env, limits = S3_LIMITS, onWaiting } = options;
    this.#options = options;
    this.#limits = limits;
    this.#bucket = new Bucket({ name, bucket: place.bucket, clock, limits, env, onWaiting });
    this.#objects = new S3Objects(this.#bucket, clock, limits);
    this.archive = s3Archive(`${this.#base()}${archiveFolder(options.cluster)}/`, {
      ...{ bucket: this.#bucket, objects: this.#objects, limits },
    });
  }

  get name(): string {
    return this.#options.name;
  }

  async list(): Promise<readonly StoredBackup[]> {
    const whole = (await this.#backups()).filter(({ files }) => files.has(MANIFEST_NAME));
    const texts = new Map<string, { readonly object: StoredObject; readonly text: string }>();
    const stored = await eachOf(whole, (found) => this.#stored(found, texts));
    this.#texts = texts;
    return stored.filter((backup) => backup !== undefined).toSorted(byStart);
  }

  async sweep(): Promise<void> {
    for (const { id, files } of await this.#backups()) {
      if (files.has(MANIFEST_NAME)) continue;
      const owner = await this.#liveOwner(files);
      if (owner !== undefined) {
        throw new TwineError({
          code: "BACKUP_RUNNING",
          message: `another backup is writing to ${this.#path(id)} (${owner})`,
          remedy: "wait until it has ended, or end that process; then start this one again",
        });
      }
      await this.#erase(id);
    }
    // Every backup under way has its note, and would have been found above.
    await this.#objects.abortUploads((key) => this.#idOf(key) !== undefined, this.#ownPrefix());
  }

  async begin(id: string): Promise<BackupWriter> {
    const { owner, clock } = this.#options;
    const note = `${JSON.stringify({ ...owner, startedAt: clock.wallTime() })}\n`;
    const sayUnderWay = (): Promise<void> => this.#objects.put(this.#key(id, IN_PROGRESS), note);
    // Whatever keeps this user from writing there is said now.
    await sayUnderWay();
    const beat = startPeriodicTask({
      clock,
      restMs: () => BEAT_MS,
      run: sayUnderWay,
      // The next beat may come through; a store that stays away fails the files themselves.
      onError: () => undefined,
    });
    return this.#writer(id, beat);
  }

  async *read(id: string, file: string): AsyncGenerator<Buffer> {
    yield* this.#objects.read(this.#key(id, file));
  }

  writeNote(id: string, name: string, text: string): Promise<void> {
    return this.#objects.put(this.#key(id, name), text);
  }

  async remove(id: string): Promise<void> {
    await this.#erase(id);
  }

  #writer(id: string, beat: PeriodicTask): BackupWriter {
    const [bucket, limits] = [this.#bucket, this.#limits];
    const open = new Set<Upload>();
    const closed = new Set<string>();
    let isAborted = false;
    return {
      create: async (name) => {
        const key = this.#key(id, name);
        // Another node's data, cut short: it must not be taken for what comes now.
        if (closed.delete(name)) await this.#objects.remove(key);
        if (isAborted) throw new Error(`${name}: this copy was given up`);
        const upload = new Upload({ bucket, key, limits });
        open.add(upload);
        return {
          write: (bytes) => upload.write(bytes),
          close: async () => {
            closed.add(name);
            await upload.close();
            open.delete(upload);
          },
        };
      },
      commit: async (manifest) => {
        await beat.stop();
        await this.#objects.put(this.#key(id, MANIFEST_NAME), manifest);
        // Beside a manifest it means nothing.
        await this.#objects.remove(this.#key(id, IN_PROGRESS)).catch(() => undefined);
      },
      abort: async () => {
        isAborted = true;
        await beat.stop();
        await Promise.allSettled([...open].map((upload) => upload.abort()));
        await this.#erase(id);
      },
    };
  }

  /** The manifest first: what is left of a backup that is half deleted is no backup. The note last: until then its uploads
      are known. */
  async #erase(id: string): Promise<void> {
    const prefix = this.#key(id, "");
    await this.#objects.remove(this.#key(id, MANIFEST_NAME));
    await this.#objects.abortUploads((key) => key.startsWith(prefix), prefix);
    const keys = (await this.#objects.list(prefix)).map(({ key }) => key);
    const note = this.#key(id, IN_PROGRESS);
    await eachOf(
      keys.filter((key) => key !== note),
      (key) => this.#objects.remove(key),
    );
    if (keys.includes(note)) await this.#objects.remove(note);
  }

  async #stored(
    { id, startedAtMs, files }: Found,
    texts: Map<string, { readonly object: StoredObject; readonly text: string }>,
  ): Promise<StoredBackup | undefined> {
    const textOf = async (name: string, bytesMax: number): Promise<string | undefined> => {
      const object = files.get(name);
      if (object === undefined) return undefined;
      const known = this.#texts.get(object.key);
      const text = isSame(known?.object, object) ? known?.text : await this.#text(object, bytesMax);
      if (text !== undefined) texts.set(object.key, { object, text });
      return text;
    };
    const manifest = await textOf(MANIFEST_NAME, MANIFEST_BYTES_MAX);
    // Deleted since it was listed.
    if (manifest === undefined) return undefined;
    const notes = new Map<string, string>();
    for (const name of NOTES) {
      const text = await textOf(name, NOTE_BYTES_MAX);
      if (text !== undefined) notes.set(name, text);
    }
    return { id, startedAtMs, manifest, notes };
  }

  async #text(object: StoredObject | undefined, bytesMax: number): Promise<string | undefined> {
    if (object === undefined) return undefined;
    return object.bytes > bytesMax ? "" : this.#objects.text(object.key);
  }

  /** Everything under a name that a backup of this cluster has, with a manifest or without. */
  async #backups(): Promise<Found[]> {
    const { cluster } = this.#options;
    const found = new Map<string, Found>();
    for (const object of await this.#objects.list(this.#ownPrefix())) {
      const id = this.#idOf(object.key);
      const startedAtMs = startOfId(cluster, id ?? "");
      if (id === undefined || startedAtMs === undefined) continue;
      const backup = found.get(id) ?? { id, startedAtMs, files: new Map<string, StoredObject>() };
      backup.files.set(object.key.slice(this.#key(id, "").length), object);
      found.set(id, backup);
    }
    return [...found.values()];
  }

  /** Who writes the backup at this moment, in words; undefined when nobody does. */
  async #liveOwner(files: ReadonlyMap<string, StoredObject>): Promise<string | undefined> {
    const note = files.get(IN_PROGRESS);
    if (note === undefined) return undefined;
    const { owner, clock } = this.#options;
    const { host, pid } = ownerIn(await this.#text(note, NOTE_BYTES_MAX));
    if (host === owner.host && (pid === owner.pid || !isProcessAlive(pid))) return undefined;
    const isStale = Date.parse(clock.wallTime()) - note.changedAtMs > STALE_MS;
    return isStale ? undefined : `process ${pid} on ${host}`;
  }

  /** Of the backup that the key is part of. */
  #idOf(key: string): string | undefined {
    const [id = "", ...file] = key.slice(this.#base().length).split("/");
    return file.length > 0 && startOfId(this.#options.cluster, id) !== undefined ? id : undefined;
  }

  #base(): string {
    const { prefix } = this.#options.place;
    return prefix === "" ? "" : `${prefix}/`;
  }

  /** What the keys of this cluster's backups begin with. */
  #ownPrefix(): string {
    return `${this.#base()}${this.#options.cluster}-`;
  }

  #key(id: string, file: string): string {
    return `${this.#base()}${id}/${file}`;
  }

  #path(id: string): string {
    return `s3://${this.#options.place.bucket}/${this.#base()}${id}`;
  }
}

/** By the store's clock, whose times are whole seconds; a note is longer or shorter, or written at another time. */
function isSame(
  known: StoredObject | undefined,
  { bytes, changedAtMs, tag }: StoredObject,
): boolean {
  return known?.bytes === bytes && known.changedAtMs === changedAtMs && known.tag === tag;
}

/** A few at once, in their order. */
async function eachOf<T, R>(items: readonly T[], task: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < items.length) {
      const at = next++;
      results[at] = await task(items[at] as T);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, work));
  return results;
}
