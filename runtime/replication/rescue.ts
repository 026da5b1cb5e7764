// rescue.ts: streams what a rogue master holds into a file that no later step of the cluster ever touches.
//
//   NODE-EPOCH-REVISION.rdb.part --all of it--> fsync --rename--> NODE-EPOCH-REVISION.rdb
//
// A file with the final name is whole and stays as it is; what was interrupted keeps the name .part and is removed. Epochs
// begin anew when a cluster is set up again over the same folder, so a name may be taken: then -2, -3 ... is added to it.
import { mkdir, open, readdir, rename, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import type { Credentials } from "../core/credentials.ts";
import type { HistoryMark } from "../core/view.ts";
import type { Clock } from "../ports/clock.ts";
import type { OpenRdbStream } from "./rdb-stream.ts";
import type { RedisAddress } from "../ports/redis-link.ts";

export interface RescuerOptions {
  /** Where the files go; made when it is not there. */
  readonly folder: string;
  readonly credentials: Credentials | undefined;
  readonly clock: Clock;
  /** A rescue that takes longer is given up: the node's writes are paused meanwhile. */
  readonly rescueMsMax: number;
  readonly openStream: OpenRdbStream;
}

export interface RescueTarget extends RedisAddress {
  readonly node: string;
  readonly epoch: number;
  readonly revision: number;
}

export interface Rescued {
  /** The file's absolute path. */
  readonly path: string;
  /** Whatever the node executed up to there is in the file. */
  readonly upTo: HistoryMark;
}

export interface Rescuer {
  /** Rejects when the node, the disk or the time did not allow it; then there is no file. */
  save(target: RescueTarget): Promise<Rescued>;
}

/** Room that is left on the disk: a rescue must not be what stops the machine. */
const FREE_BYTES_MIN = 64 * 1024 * 1024;
/** How often the room is looked at. */
const LOOK_EVERY_BYTES = 16 * 1024 * 1024;

export function createRescuer(options: RescuerOptions): Rescuer {
  return { save: (target) => saveWithin(options, target) };
}

async function saveWithin(options: RescuerOptions, target: RescueTarget): Promise<Rescued> {
  const abort = new AbortController();
  const { clock, rescueMsMax } = options;
  const cancel = clock.after(rescueMsMax, () => {
    abort.abort(new Error(`it was not done within ${rescueMsMax / 1000} s`));
  });
  try {
    return await save(options, target, abort.signal);
  } catch (error) {
    throw abort.signal.aborted ? abort.signal.reason : error;
  } finally {
    cancel();
  }
}

async function save(
  { folder, credentials, openStream }: RescuerOptions,
  target: RescueTarget,
  signal: AbortSignal,
): Promise<Rescued> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const { node, epoch, revision, host, port } = target;
  const path = join(folder, await freeName(folder, `${node}-${epoch}-${revision}`));
  const part = `${path}.part`;
  const file = await open(part, "w", 0o600);
  try {
    let unlooked = LOOK_EVERY_BYTES;
    const stream = openStream({ host, port }, { credentials, signal });
    for await (const chunk of stream.chunks()) {
      if (unlooked >= LOOK_EVERY_BYTES) {
        await requireRoom(folder);
        unlooked = 0;
      }
      await file.writeFile(chunk);
      unlooked += chunk.length;
    }
    await file.sync();
    await file.close();
    await rename(part, path);
    await syncFolder(folder);
    const { replicationId, offset } = stream;
    return { path, upTo: { replicationId, offset } };
  } catch (error) {
    await file.close().catch(() => undefined);
    await rm(part, { force: true });
    throw error;
  }
}

async function freeName(folder: string, base: string): Promise<string> {
  const taken = new Set(await readdir(folder));
  let name = `${base}.rdb`;
  for (let count = 2; taken.has(name); count++) name = `${base}-${count}.rdb`;
  return name;
}

async function requireRoom(folder: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize < FREE_BYTES_MIN) {
    throw new Error(`the disk of ${folder} is full but for ${FREE_BYTES_MIN / 1024 / 1024} MiB`);
  }
}

/** The new name is on the disk only when its folder is. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
