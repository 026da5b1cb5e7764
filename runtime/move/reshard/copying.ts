// copying.ts: the keys of all partitions into the masters of the new ones: every source's RDB, then its change feed.
//
//   load: two sources at a time --> follow: all of them, until the new nodes are hardly behind --> drainTo: exact offsets
import { join } from "node:path";
import { addressOf } from "../../core/cluster.ts";
import { credentialsOf } from "../../core/credentials.ts";
import { TwineError } from "../../core/errors.ts";
import { SOURCES_MAX, type SourceProgress } from "../../core/reshard-progress.ts";
import type { HistoryMark, ReshardMark, View } from "../../core/view.ts";
import { sourcesOf, type Source } from "../../replication/choose-source.ts";
import { infoOf } from "../../replication/node-info.ts";
import {
  openNodeSocket,
  type NodeAddress,
  type NodeSocket,
} from "../../replication/node-socket.ts";
import { CopyPace, type CopyLimit } from "../copy-pace.ts";
import { ExpiringKeys } from "../expiring-keys.ts";
import { MoveSource } from "../move-source.ts";
import { Spool } from "../spool.ts";
import type { MoveTarget } from "../target.ts";
import { Convergence } from "./convergence.ts";
import type { NodePorts } from "./node-group.ts";

export interface CopyingOptions extends NodePorts {
  readonly view: View;
  /** By new partition. */
  readonly targets: readonly MoveTarget[];
  /** For the feeds; must be private and empty. */
  readonly folder: string;
  /** By the new function. */
  readonly partitionOf: (key: Buffer) => number;
  /** By the present one; undefined: it is not known. A key that lies elsewhere can't be read by anybody: it is left out. */
  readonly oldPartitionOf: ((key: Buffer) => number) | undefined;
  /** Throws when it is pointless to go on. */
  readonly requireGoing: () => void;
  /** The newest view: the feeds go on at other nodes after a failover. Absent: a lost source is the end. */
  readonly viewNow?: (() => View) | undefined;
  /** Of what is copied from the RDBs of all sources together. */
  readonly limit?: CopyLimit | undefined;
  /** Keys that have an expiry at the targets already; absent: none. */
  readonly expiring?: ExpiringKeys;
}

export interface CopyProgress {
  readonly keys: number;
  readonly keysTotal: number;
  readonly bytes: number;
  readonly lagBytes: number;
  /** Left out, because they lay in a partition that is not theirs. */
  readonly misplacedKeys: number;
}

interface Copied {
  readonly partition: number;
  /** The node that it is copied from. */
  readonly node: Source;
  readonly source: MoveSource;
  readonly spool: Spool;
  /** The partition's master, which is asked for its offset. */
  readonly master: NodeSocket;
  readonly keysTotal: number;
}

export interface CopiedNode {
  readonly partition: number;
  readonly address: NodeAddress;
  readonly db: number;
}

const SOURCES_AT_ONCE = 2;
const SILENCE_MS_MAX = 60_000;
/** As Redis's default limit of a value. */
const VALUE_BYTES_MAX = 512 * 1024 * 1024;
const REST_MS = 20;
/** The reader of a feed learns of a failover after the alpha. */
const SAME_HISTORY_WITHIN_MS = 3_000;

export class Copying {
  readonly #options: CopyingOptions;
  readonly #copied: Copied[];
  readonly #expiring: ExpiringKeys;
  readonly #pace: CopyPace;
  #misplacedKeys = 0;
  #lagBytes: readonly number[] = [];

  private constructor(options: CopyingOptions, copied: Copied[]) {
    this.#options = options;
    this.#copied = copied;
    this.#expiring = options.expiring ?? new ExpiringKeys();
    this.#pace = new CopyPace({
      ...{ clock: options.clock, limit: options.limit },
      probe: () => Promise.all(copied.map(({ master }) => master.call("PING"))),
    });
  }

  /** What is done for the move rests while the masters answer late. */
  get pace(): CopyPace {
    return this.#pace;
  }

  /** Keys that have, or had, an expiry at the targets. */
  get expiring(): ExpiringKeys {
    return this.#expiring;
  }

  /** Connects. Throws NodeErrors, and RESHARD_NO_SOURCE. */
  static async open(options: CopyingOptions): Promise<Copying> {
    const copied: Copied[] = [];
    const copying = new Copying(options, copied);
    try {
      for (const { index } of options.view.partitions) copied.push(await copying.#open(index));
      return copying;
    } catch (error) {
      await copying.close();
      throw error;
    }
  }

  get progress(): CopyProgress {
    const sum = (of: (one: Copied) => number): number =>
      this.#copied.reduce((total, one) => total + of(one), 0);
    return {
      keys: sum(({ source }) => source.keys),
      keysTotal: sum(({ keysTotal }) => keysTotal),
      bytes: sum(({ source }) => source.bytes),
      lagBytes: this.#lagBytes.reduce((total, lag) => total + lag, 0),
      misplacedKeys: this.#misplacedKeys,
    };
  }

  /** Commands of the feeds, and keys copied anew, that have changed the new masters. */
  get changes(): number {
    return this.#copied.reduce((total, { source }) => total + source.changes, 0);
  }

  /** By partition. */
  get sources(): SourceProgress[] {
    return this.#copied.slice(0, SOURCES_MAX).map(({ partition, source, keysTotal }, at) => {
      const { keys, bytes } = source;
      return { partition, keys, keysTotal, bytes, lagBytes: this.#lagBytes[at] ?? 0 };
    });
  }

  /** Every source's RDB. */
  async load(): Promise<void> {
    await this.#pace.begin();
    const waiting = [...this.#copied];
    const work = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        await next.source.load();
      }
    };
    await Promise.all(Array.from({ length: SOURCES_AT_ONCE }, work));
  }

  /** In place of load(): the targets have everything up to these marks, by partition. */
  async resume(marks: readonly HistoryMark[]): Promise<void> {
    await Promise.all(
      this.#copied.map(async ({ partition, source }) => {
        const mark = marks[partition];
        if (mark === undefined) throw otherHistory(partition);
        await source.resumeElsewhere(mark);
      }),
    );
  }

  /** Until a round over all feeds takes only a moment. Throws RESHARD_BEHIND. */
  async follow(): Promise<void> {
    const { clock, signal, requireGoing } = this.#options;
    const convergence = new Convergence(clock.nowMs());
    for (;;) {
      signal.throwIfAborted();
      requireGoing();
      const beganMs = clock.nowMs();
      const goals = await this.#masterOffsets();
      this.#lagBytes = goals.map((goal, at) =>
        Math.max(0, goal - (this.#copied[at]?.source.offset ?? goal)),
      );
      await Promise.all(this.#copied.map(({ source }, at) => source.drainTo(goals[at] ?? 0)));
      const nowMs = clock.nowMs();
      const state = convergence.after(nowMs - beganMs, nowMs);
      if (state === "close") return;
      if (state === "hopeless") throw behind(this.progress.lagBytes);
      await clock.delay(REST_MS);
    }
  }

  /** Everything that has come so far. It asks no master: one may be away for a moment. */
  async followWhatCame(): Promise<void> {
    this.#lagBytes = this.#copied.map(({ source }) => source.waitingBytes);
    await Promise.all(this.#copied.map(({ source }) => source.drainWhatCame()));
  }

  /** Everything up to the marks has reached the new masters. Throws MOVE_RESTART if a mark lies on another history. */
  async drainTo(marks: readonly ReshardMark[]): Promise<void> {
    await Promise.all(
      this.#copied.map(async ({ partition, source }) => {
        const mark = marks[partition];
        if (mark === undefined || !(await this.#isOnHistory(source, mark))) {
          throw otherHistory(partition);
        }
        await source.drainTo(mark.offset);
      }),
    );
  }

  /** The nodes that are copied, in the order of their partitions. */
  get nodes(): CopiedNode[] {
    return this.#copied.map(({ partition, node: { host, port, db } }) => {
      return { partition, address: { host, port }, db };
    });
  }

  /**
   * Exactly up to the marks of these nodes, which no feed has passed. The keys (latin1) that the new masters have of a
   * later moment. Throws MOVE_RESTART if a mark lies on another history.
   */
  async drainExactly(marks: readonly HistoryMark[]): Promise<string[]> {
    const later = await Promise.all(
      this.#copied.map(async ({ partition, source }, at) => {
        const mark = marks[at];
        if (mark === undefined || !(await this.#isOnHistory(source, mark))) {
          throw otherHistory(partition);
        }
        return source.drainExactly(mark.offset);
      }),
    );
    return later.flat();
  }

  async close(): Promise<void> {
    for (const { source, spool, master } of this.#copied) {
      master.destroy();
      await source.close();
      await spool.close();
    }
  }

  async #open(partition: number): Promise<Copied> {
    const { view, folder, password, targets, viewNow, ...options } = this.#options;
    const { clock, signal, tls } = options;
    const [address] = sourcesOf(view, partition);
    if (address === undefined) throw noSource(partition);
    const credentials = credentialsOf("monitor", password);
    const master = await this.#openMaster(view, partition);
    try {
      const keysTotal = await keysIn(master, address);
      const spool = await Spool.open(join(folder, `feed-${partition}`));
      const source: MoveSource = new MoveSource({
        ...{ address, credentials, tls, clock, signal, targets, spool, db: address.db },
        readerCredentials: credentialsOf("app", password),
        // A router loads a library into all masters: the first one has them all.
        movesLibraries: partition === 0,
        targetOf: (key) => this.#targetOf(key, partition, () => source.offset),
        valueBytesMax: VALUE_BYTES_MAX,
        copied: (keys, bytes) => this.#pace.copied(keys, bytes),
        expiring: this.#expiring,
        elsewhere: viewNow && (() => nodesWith(viewNow(), partition)),
      });
      return { partition, node: address, source, spool, master, keysTotal };
    } catch (error) {
      master.destroy();
      throw error;
    }
  }

  #targetOf(key: Buffer, partition: number, offset: () => number): number | undefined {
    const { oldPartitionOf, partitionOf } = this.#options;
    if (oldPartitionOf === undefined || oldPartitionOf(key) === partition) return partitionOf(key);
    if (offset() < 0) this.#misplacedKeys++;
    return undefined;
  }

  #masterOffsets(): Promise<number[]> {
    return Promise.all(
      this.#copied.map(async ({ master }) => {
        const fields = await infoOf(master, "replication");
        return Number(fields.get("master_repl_offset") ?? 0);
      }),
    );
  }

  async #openMaster(view: View, partition: number): Promise<NodeSocket> {
    const { clock, signal, tls, password } = this.#options;
    const { master: name } = view.partitions[partition] ?? {};
    const node = view.nodes.find((one) => one.name === name);
    if (node === undefined) throw noSource(partition);
    const credentials = credentialsOf("monitor", password);
    const access = { credentials, tls, clock, signal, silenceMsMax: SILENCE_MS_MAX };
    return openNodeSocket({ host: addressOf(node.host), port: node.port }, access);
  }

  async #isOnHistory(source: MoveSource, { replicationId }: HistoryMark): Promise<boolean> {
    const { clock, viewNow } = this.#options;
    const endMs = clock.nowMs() + (viewNow === undefined ? 0 : SAME_HISTORY_WITHIN_MS);
    while ((await source.replicationId()) !== replicationId) {
      if (clock.nowMs() >= endMs) return false;
      await clock.delay(REST_MS);
    }
    return true;
  }
}

/** Those that may have the history of that partition, replicas first: a reader of a master counts for min-replicas. */
function nodesWith(view: View, partition: number): NodeAddress[] {
  const master = view.partitions[partition]?.master;
  const nodes = view.nodes.filter((node) => node.kind === "data" && node.partition === partition);
  const inOrder = [
    ...nodes.filter(({ name }) => name !== master),
    ...nodes.filter(({ name }) => name === master),
  ];
  return inOrder.map(({ host, port }) => ({ host: addressOf(host), port }));
}

async function keysIn(master: NodeSocket, { db }: Source): Promise<number> {
  const fields = await infoOf(master, "keyspace");
  return Number(/keys=(\d+)/.exec(fields.get(`db${db}`) ?? "")?.[1] ?? 0);
}

function noSource(partition: number): TwineError {
  return new TwineError({
    code: "RESHARD_NO_SOURCE",
    message: `partition ${partition} has no master`,
    remedy: "see twine-status, and try again when it has one",
  });
}

function behind(lagBytes: number): TwineError {
  return new TwineError({
    code: "RESHARD_BEHIND",
    message: `clients write faster than this process copies: for minutes it has been about ${lagBytes} bytes behind`,
    remedy: "nothing was changed; run the command when less is written, or on a faster host",
  });
}

function otherHistory(partition: number): TwineError {
  return new TwineError({
    code: "MOVE_RESTART",
    message: `partition ${partition} has a new master since the copy began`,
    remedy: "run the command again",
  });
}
