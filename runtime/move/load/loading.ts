// loading.ts: the keys of all shards of another system into the masters of the running cluster: one attempt.
//
//   load: each shard's RDB --\
//   resume: from its mark ----+--> follow: its change feed, until the masters of both sides are hardly apart, again and again
import { join } from "node:path";
import { addressOf } from "../../core/cluster.ts";
import type { Clock } from "../../ports/clock.ts";
import { infoOf } from "../../replication/node-info.ts";
import type { NodeSocket } from "../../replication/node-socket.ts";
import { addressText, type ImportedNode } from "../import/imported.ts";
import { openSource } from "../import/source-link.ts";
import { MoveSource, type FeedMark } from "../move-source.ts";
import { Spool } from "../spool.ts";
import type { MoveTarget } from "../target.ts";
import { continues, markIn } from "./history.ts";
import { changed } from "./load-errors.ts";
import {
  ANSWER_WITHIN_MS,
  type SourceAccess,
  type SourceSet,
  type SourceShard,
} from "./source-set.ts";

export interface LoadingOptions {
  readonly set: SourceSet;
  readonly access: Pick<SourceAccess, "password" | "tls" | "clock">;
  readonly targets: readonly MoveTarget[];
  readonly partitionOf: (key: Uint8Array) => number;
  /** Whether the shard's copy of that key counts. `isCopy`: as it lies in the RDB; else a command names it. */
  readonly counts: (key: Buffer, shard: number, isCopy: boolean) => boolean;
  /** false: a key that a target has already is an error. */
  readonly replaces: boolean;
  /** The targets hold keys of others too. */
  readonly isShared: boolean;
  /** For the feeds; private and empty. */
  readonly folder: string;
  readonly signal: AbortSignal;
}

export interface LoadProgress {
  readonly keys: number;
  readonly keysTotal: number;
  readonly bytes: number;
  /** Of the change feeds: not yet in the cluster. */
  readonly lagBytes: number;
}

/** Up to there everything of a shard is in the cluster; nothing behind `offsetMax` is (undefined: not known). */
export interface ShardMark extends FeedMark {
  readonly offsetMax?: number | undefined;
}

interface Opened {
  readonly shard: SourceShard;
  /** The server that is read. */
  readonly node: ImportedNode;
  readonly source: MoveSource;
  readonly spool: Spool;
  readonly master: NodeSocket;
  readonly keysTotal: number;
  /** Of the master, for the report. */
  readonly memoryBytes: number;
}

const SOURCES_AT_ONCE = 2;
/** As Redis's default limit of a value. */
const VALUE_BYTES_MAX = 512 * 1024 * 1024;
const SILENCE_MS_MAX = 60_000;
const ROUND_MS_MAX = 250;
const REST_MS = 20;

export class Loading {
  readonly #opened: Opened[];
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  #lagBytes = 0;

  private constructor(opened: Opened[], clock: Clock, signal: AbortSignal) {
    this.#opened = opened;
    this.#clock = clock;
    this.#signal = signal;
  }

  /** Connects. Throws NodeError, LOAD_CHANGED. */
  static async open(options: LoadingOptions): Promise<Loading> {
    const opened: Opened[] = [];
    const loading = new Loading(opened, options.access.clock, options.signal);
    try {
      for (const [index, shard] of options.set.shards.entries()) {
        opened.push(await openShard(shard, index, options));
      }
      return loading;
    } catch (error) {
      await loading.close();
      throw error;
    }
  }

  get progress(): LoadProgress {
    const sum = (of: (one: Opened) => number): number =>
      this.#opened.reduce((total, one) => total + of(one), 0);
    return {
      keys: sum(({ source }) => source.keys),
      keysTotal: sum(({ keysTotal }) => keysTotal),
      bytes: sum(({ source }) => source.bytes),
      lagBytes: this.#lagBytes,
    };
  }

  /** Changes that came by the feeds. */
  get changes(): number {
    return this.#opened.reduce((sum, { source }) => sum + source.changes, 0);
  }

  /** The server that each shard is read from. */
  get nodes(): readonly ImportedNode[] {
    return this.#opened.map(({ node }) => node);
  }

  /** Shards whose master gives its data itself. */
  get mastersRead(): readonly { readonly name: string; readonly memoryBytes: number }[] {
    return this.#opened
      .filter(({ node, shard }) => node === shard.master)
      .map(({ node, memoryBytes }) => ({ name: addressText(node), memoryBytes }));
  }

  /** Every shard's RDB. */
  async load(): Promise<void> {
    const waiting = [...this.#opened];
    const work = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        await next.source.load();
      }
    };
    await Promise.all(Array.from({ length: SOURCES_AT_ONCE }, work));
  }

  /** Goes on from the marks. False: a source no longer has what comes after its mark, or has another history. */
  async resume(marks: readonly ShardMark[]): Promise<boolean> {
    if (marks.length !== this.#opened.length) return false;
    for (const [index, { source, master, node }] of this.#opened.entries()) {
      const mark = marks[index];
      if (mark === undefined) return false;
      const fields = await infoOf(master, "replication");
      const isSame = fields.get("master_replid") === mark.replicationId;
      const reached = mark.offsetMax ?? (isSame ? mark.offset : Infinity);
      // What was copied from a history that lost against another one must not stay.
      if (!continues(fields, { ...mark, offset: reached })) return false;
      const replayTo = Math.max(markIn(fields).offset, reached);
      if (!(await source.resume(mark, replayTo))) return false;
      // The feed may be of a node that was promoted since.
      const id = await source.replicationId();
      if (id !== fields.get("master_replid")) {
        throw changed(`${addressText(node)} follows another history than its master`);
      }
    }
    return true;
  }

  /** Until a round over all feeds takes only a moment. */
  async follow(): Promise<void> {
    for (;;) {
      this.#signal.throwIfAborted();
      const beganMs = this.#clock.nowMs();
      const goals = await Promise.all(
        this.#opened.map(async ({ master }) => markIn(await infoOf(master, "replication")).offset),
      );
      this.#lagBytes = goals.reduce(
        (sum, goal, at) => sum + Math.max(0, goal - (this.#opened[at]?.source.offset ?? goal)),
        0,
      );
      await Promise.all(this.#opened.map(({ source }, at) => source.drainTo(goals[at] ?? 0)));
      if (this.#clock.nowMs() - beganMs < ROUND_MS_MAX) return;
      await this.#clock.delay(REST_MS);
    }
  }

  /** Not while follow() runs; undefined before everything was copied. */
  async marks(): Promise<readonly ShardMark[] | undefined> {
    const marks: ShardMark[] = [];
    for (const { source } of this.#opened) {
      const mark = await source.mark();
      if (mark === undefined) return undefined;
      marks.push({ ...mark, offsetMax: source.offsetMax });
    }
    return marks;
  }

  /** By shard: nothing behind it was sent. */
  get offsetsMax(): readonly number[] {
    return this.#opened.map(({ source }) => source.offsetMax);
  }

  async close(): Promise<void> {
    for (const { source, spool, master } of this.#opened) {
      master.destroy();
      await source.close();
      await spool.close();
    }
  }
}

async function openShard(
  shard: SourceShard,
  index: number,
  options: LoadingOptions,
): Promise<Opened> {
  const { access, targets, partitionOf, signal, folder, counts, replaces, isShared } = options;
  const { password, tls, clock } = access;
  const master = await openSource(shard.master, { ...access, withinMs: SILENCE_MS_MAX });
  const end = (): void => {
    master.destroy();
  };
  signal.addEventListener("abort", end, { once: true });
  try {
    const fields = await infoOf(master);
    if (fields.get("role") !== "master") {
      throw changed(`${addressText(shard.master)} is no master any more`);
    }
    const node = await readNode(shard, fields.get("master_replid") ?? "", access);
    const spool = await Spool.open(join(folder, `feed-${index}`));
    const source: MoveSource = new MoveSource({
      address: { host: addressOf(node.host), port: node.port },
      credentials: loginOf(password),
      ...{ tls, clock, signal, targets, spool, db: shard.db, replaces },
      copiesChanges: isShared,
      // All masters of a system are given the same libraries.
      movesLibraries: index === 0,
      targetOf: (key) => (counts(key, index, source.offset < 0) ? partitionOf(key) : undefined),
      valueBytesMax: VALUE_BYTES_MAX,
    });
    const keysTotal = Number(/keys=(\d+)/.exec(fields.get(`db${shard.db}`) ?? "")?.[1] ?? 0);
    const memoryBytes = Number(fields.get("used_memory") ?? 0);
    return { shard, node, source, spool, master, keysTotal, memoryBytes };
  } catch (error) {
    master.destroy();
    throw error;
  }
}

/** A replica that is in touch with its master, so that the master is spared; else the master. */
async function readNode(
  { master, replicas }: SourceShard,
  replicationId: string,
  access: LoadingOptions["access"],
): Promise<ImportedNode> {
  for (const replica of replicas) {
    try {
      const socket = await openSource(replica, { ...access, withinMs: ANSWER_WITHIN_MS });
      try {
        const fields = await infoOf(socket, "replication");
        const isLinked = fields.get("master_link_status") === "up";
        if (isLinked && fields.get("master_replid") === replicationId) return replica;
      } finally {
        socket.destroy();
      }
    } catch {
      // The next one, or the master.
    }
  }
  return master;
}

export function loginOf(password: string | undefined) {
  return password === undefined ? undefined : { username: "default", password };
}
