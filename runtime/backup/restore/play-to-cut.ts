// play-to-cut.ts: a partition as it was at the cut: its RDB and its feed in a redis-server of our own, and an RDB of that.
//
//   the backup --RDB, then the feed up to the cut--> fake master --> scratch server, a replica --its RDB--> cut-N.rdb
//
// A replica, because for its master's commands no key has expired: what the feed does to a key whose time has passed since
// is done as it was. Nobody else reaches the server, so a PUBLISH of the feed reaches nobody. The cluster's own nodes see only
// the outcome.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Credentials } from "../../core/credentials.ts";
import { TwineError } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import { FakeMaster, newReplicationId } from "../../replication/fake-master.ts";
import { RdbScanner } from "../../replication/rdb/rdb-scanner.ts";
import { openRdbStream } from "../../replication/rdb-stream.ts";
import { openScratchServer, type ScratchServer } from "../../replication/scratch-server.ts";
import { textOf } from "../../resp/value.ts";
import type { Identities } from "../encryption.ts";
import type { Manifest, SavedPartition } from "../manifest.ts";
import type { BackupTarget } from "../targets/target.ts";
import { rdbChunks, readToCut } from "../verify-backup.ts";
import { explained, type PrivateFiles } from "./private-files.ts";
import { whyNotLoadable } from "./server-versions.ts";

export interface PlayOptions {
  /** Private; the RDB comes into it. */
  readonly folder: string;
  readonly files: PrivateFiles;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** For a backup that is encrypted. */
  readonly identities?: Identities | undefined;
  /** What comes behind the RDB, piece by piece. Absent: the backup's own feed up to its cut. */
  readonly readFeed?: ReadFeed | undefined;
}

export type ReadFeed = (
  saved: SavedPartition,
  onChunk: (bytes: Buffer) => Promise<void>,
) => Promise<void>;

const LOCALHOST = "127.0.0.1";
const POLL_MS = 20;
const STALLED_MS_MAX = 60_000;
/** Redis's own number is 16, but a node's may be larger. */
const DATABASES = "1024";
const SETTINGS = [
  ["repl-diskless-load", "disabled"],
  ["repl-diskless-sync-delay", "0"],
  ["databases", DATABASES],
] as const;

/** Answers the path of its RDB at the cut, which the caller removes. Throws PLAY_FAILED, SCRATCH_FAILED, or why the backup's files are no good. */
export async function playToCut(
  target: Pick<BackupTarget, "read">,
  manifest: Manifest,
  saved: SavedPartition,
  options: PlayOptions,
): Promise<string> {
  const { clock, signal } = options;
  const folder = join(options.folder, `play-${saved.partition}`);
  await mkdir(folder, { mode: 0o700 });
  const loads = `${manifest.id}/${saved.file}`;
  const server = await openScratchServer({ folder, loads, clock, signal, settings: SETTINGS });
  const play = new Play(server, target, manifest, saved, options);
  try {
    await play.run();
    return await play.save(join(options.folder, `cut-${saved.partition}.rdb`));
  } finally {
    play.close();
    await server.close();
  }
}

class Play {
  readonly #server: ScratchServer;
  readonly #target: Pick<BackupTarget, "read">;
  readonly #manifest: Manifest;
  readonly #saved: SavedPartition;
  readonly #options: PlayOptions;
  #master: FakeMaster | undefined;

  constructor(
    server: ScratchServer,
    target: Pick<BackupTarget, "read">,
    manifest: Manifest,
    saved: SavedPartition,
    options: PlayOptions,
  ) {
    this.#server = server;
    this.#target = target;
    this.#manifest = manifest;
    this.#saved = saved;
    this.#options = options;
  }

  close(): void {
    this.#master?.close();
  }

  async run(): Promise<void> {
    await this.#requireLoadable();
    const { clock, signal, identities } = this.#options;
    const { replicationId, offset, rdbBytes } = this.#saved;
    // Others on this machine reach the port, too.
    const credentials: Credentials = { username: "replica", password: newReplicationId() };
    const master = await FakeMaster.listen({
      ...{ clock, replicationId, offset, rdbBytes, credentials },
      ...{
        host: LOCALHOST,
        nodeAddress: LOCALHOST,
        open: () => rdbChunks(this.#target, this.#manifest, this.#saved, this.#options),
      },
    });
    this.#master = master;
    await this.#server.call("CONFIG", "SET", "masteruser", credentials.username);
    await this.#server.call("CONFIG", "SET", "masterauth", credentials.password);
    await this.#server.call("REPLICAOF", LOCALHOST, String(master.port));
    await this.#until(() => master.state === "ready", "take the RDB");
    if (!master.release()) throw this.#failed("went away before it had loaded the RDB");
    await this.#until(() => master.state === "loaded", "load the RDB");
    const onChunk = async (bytes: Buffer): Promise<void> => {
      if (!(await master.send(bytes))) throw this.#failed("went away in the middle of the feed");
    };
    const { readFeed } = this.#options;
    if (readFeed !== undefined) await readFeed(this.#saved, onChunk);
    else
      await readToCut(this.#target, this.#manifest, this.#saved, { signal, identities, onChunk });
    await this.#until(
      async () => (await this.#numberIn("replication", "slave_repl_offset")) >= master.endOffset,
      "apply the feed",
    );
    const errors = await this.#numberIn("stats", "unexpected_error_replies");
    if (errors > 0) throw this.#failed(`refused ${errors} commands of the feed`);
  }

  /** What the server holds now, as an RDB that the caller removes; answers its path. */
  async save(path: string): Promise<string> {
    const { clock, signal, files } = this.#options;
    const scanner = new RdbScanner();
    const file = await explained(files).create(path);
    try {
      const stream = openRdbStream(
        { path: this.#server.path },
        { credentials: undefined, signal, clock },
      );
      for await (const chunk of stream.chunks()) {
        scanner.push(chunk);
        await file.write(chunk);
      }
      scanner.finish();
    } finally {
      await file.close();
    }
    return path;
  }

  async #requireLoadable(): Promise<void> {
    const { rdbVersion } = this.#saved;
    const magic = this.#saved.magic === "VALKEY" ? "VALKEY" : "REDIS";
    const info = textOf(await this.#server.call("INFO", "server")) ?? "";
    const why = whyNotLoadable(info, { magic, version: rdbVersion });
    if (why !== undefined) throw this.#failed(`can't be used: ${why}`);
  }

  async #numberIn(section: string, field: string): Promise<number> {
    const info = textOf(await this.#server.call("INFO", section)) ?? "";
    return Number(new RegExp(`^${field}:(\\d+)`, "m").exec(info)?.[1] ?? 0);
  }

  /** Gives up when nothing has moved for STALLED_MS_MAX. */
  async #until(isDone: () => boolean | Promise<boolean>, what: string): Promise<void> {
    const { clock, signal } = this.#options;
    let [movedAtMs, mark] = [clock.nowMs(), ""];
    while (!(await isDone())) {
      signal.throwIfAborted();
      const broken = this.#master?.unreadable;
      if (broken !== undefined) throw broken;
      const offset = await this.#numberIn("replication", "slave_repl_offset");
      const loaded = await this.#numberIn("persistence", "loading_loaded_bytes");
      const now = `${this.#master?.sentBytes ?? 0} ${offset} ${loaded}`;
      if (now !== mark) [movedAtMs, mark] = [clock.nowMs(), now];
      if (clock.nowMs() - movedAtMs > STALLED_MS_MAX) {
        const why = this.#master?.failure;
        throw this.#failed(`did not ${what}${why === undefined ? "" : `: ${why}`}`);
      }
      await clock.delay(POLL_MS);
    }
  }

  #failed(what: string): TwineError {
    return new TwineError({
      code: "PLAY_FAILED",
      message: `${this.#manifest.id}: the redis-server on this machine that runs partition ${this.#saved.partition} up to its cut ${what}`,
      remedy:
        "nothing was restored; install a redis-server on this machine that is as new as the backup's nodes, and restore again",
    });
  }
}
