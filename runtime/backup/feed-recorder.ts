// feed-recorder.ts: every write of one partition from its RDB's offset on, into a file beside the RDB.
//
//   the node begins its RDB at (id, offset) -> its change feed from there -> digest, compression, encryption -> partition-N.feed
//        breaks off: the next node that has the offset goes on, byte by byte
//             every node says that it has not, or none answers within RESUME_MS_MAX: lost
//
// The feed is opened the moment the RDB begins, so that a short backlog does. A new id comes with a failover: PSYNC by the old
// id continues only what is true. After a node that was ahead of the new master nobody has our offset: lost.
import { createHash } from "node:crypto";
import type { Credentials } from "../core/credentials.ts";
import type { HistoryMark } from "../core/view.ts";
import type { Clock } from "../ports/clock.ts";
import type { LinkTls } from "../ports/link-tls.ts";
import { openChangeFeed, type ChangeFeed } from "../replication/change-feed.ts";
import { NodeError } from "../replication/node-error.ts";
import { openNodeSocket } from "../replication/node-socket.ts";
import { textOf } from "../resp/value.ts";
import type { Source } from "../replication/choose-source.ts";
import type { Copies } from "./copies.ts";
import type { SavedFeed } from "./manifest.ts";
import { encodersOf, endingOf, StoredBytes, type Encoding } from "./save-partition.ts";

export interface FeedRecorderOptions extends Encoding {
  readonly copies: Copies;
  readonly credentials: Credentials | undefined;
  readonly tls?: LinkTls | undefined;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** Whom the partition may be read from now, best first; empty when that is not known. */
  readonly sourcesNow: (partition: number) => Promise<readonly Source[]>;
}

/** A partition without a master is given one sooner. */
const RESUME_MS_MAX = 20_000;
const RESUME_EVERY_MS = 200;
const SILENCE_MS_MAX = 60_000;

/** gone: it does not have what comes behind our offset, or must not be asked. silent: it may have it later. */
type Unopened = "gone" | "silent";

export class FeedRecorder {
  readonly partition: number;
  readonly #options: FeedRecorderOptions;
  readonly #start: HistoryMark;
  readonly #hash = createHash("sha256");
  readonly #running: Promise<void>;
  readonly #stop = new AbortController();
  readonly #watchers = new Set<() => void>();
  #stored: StoredBytes | undefined;
  #feed: ChangeFeed | undefined;
  #replicationId: string;
  #offset: number;
  #lost: string | undefined;
  #refusal = "no node of it continues the feed that was recorded";
  #failure: Error | undefined;

  /** Begins at once. `before` is a recorder of the same file that is to end first. */
  constructor(
    partition: number,
    source: Source,
    start: HistoryMark,
    options: FeedRecorderOptions,
    before?: FeedRecorder,
  ) {
    this.partition = partition;
    this.#options = options;
    this.#start = start;
    this.#replicationId = start.replicationId;
    this.#offset = start.offset;
    this.#running = this.#run(source, before).catch((error: unknown) => {
      this.#failure = error instanceof Error ? error : new Error(String(error));
      this.#change();
    });
  }

  /** Why it can't go on; undefined: it goes on. */
  get lost(): string | undefined {
    return this.#lost;
  }

  /**
   * Whether the feed holds all of that history up to the mark; false when it is lost, late, or of another history. Rejects
   * when it could not be stored anywhere.
   */
  async reach({ replicationId, offset }: HistoryMark, withinMs: number): Promise<boolean> {
    const { clock } = this.#options;
    const endMs = clock.nowMs() + withinMs;
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#offset >= offset && this.#replicationId === replicationId) return true;
      const leftMs = endMs - clock.nowMs();
      if (this.#lost !== undefined || leftMs <= 0) return false;
      await this.#changed(leftMs);
    }
  }

  /** Goes on at another node if this one is behind: a replica that has lost its master is silent. */
  reopen(): void {
    this.#feed?.close();
  }

  /** Ends it; what was stored, or undefined when there is no file. Rejects when it could not be stored anywhere. */
  async finish(): Promise<SavedFeed | undefined> {
    await this.#end();
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#stored === undefined) return undefined;
    const { bytes, sha256 } = await this.#stored.end();
    const feedBytes = this.#offset - this.#start.offset;
    const isPlain = this.#options.recipients === undefined;
    return {
      ...{ file: this.#name, bytes, sha256, feedBytes, replicationId: this.#replicationId },
      ...(isPlain ? { feedSha256: this.#hash.digest("hex") } : {}),
    };
  }

  /** Ends it and lets its file go: another one comes in its place, or none at all. */
  async discard(): Promise<void> {
    await this.#end();
    await this.#stored?.end().catch(() => undefined);
  }

  get #name(): string {
    return `partition-${this.partition}.feed${endingOf(this.#options)}`;
  }

  async #end(): Promise<void> {
    this.#stop.abort(new Error("the recording has ended"));
    this.#feed?.close();
    await this.#running;
  }

  async #run(first: Source, before: FeedRecorder | undefined): Promise<void> {
    const { copies, signal, clock } = this.#options;
    // At once: the node keeps only so much for who comes late.
    const opened = await this.#open(first);
    let feed = typeof opened === "string" ? undefined : opened;
    await before?.discard();
    this.#stored = new StoredBytes(
      await copies.create(this.#name),
      await encodersOf(this.#options),
    );
    let progressAtMs = clock.nowMs();
    const isOver = (): boolean => this.#stop.signal.aborted || signal.aborted;
    while (!isOver()) {
      if (feed !== undefined) {
        this.#feed = feed;
        this.#replicationId = feed.replicationId;
        this.#change();
        if ((await this.#record(feed)) > 0) progressAtMs = clock.nowMs();
      }
      if (isOver()) return;
      await clock.delay(RESUME_EVERY_MS);
      const found = await this.#openAny();
      feed = typeof found === "string" ? undefined : found;
      const isLate = clock.nowMs() - progressAtMs > RESUME_MS_MAX;
      if (feed === undefined && (found === "gone" || isLate)) {
        this.#lost = this.#refusal;
        this.#change();
        return;
      }
    }
  }

  /** The bytes that came before it broke off. */
  async #record(feed: ChangeFeed): Promise<number> {
    let bytes = 0;
    for (;;) {
      let chunk: Buffer;
      try {
        chunk = await feed.chunk();
      } catch (error) {
        if (error instanceof NodeError) return bytes;
        throw error;
      }
      this.#hash.update(chunk);
      await this.#stored?.write(chunk);
      bytes += chunk.length;
      this.#offset += chunk.length;
      this.#change();
    }
  }

  /** gone: every node of the partition, its master among them, says that it does not have the offset. */
  async #openAny(): Promise<ChangeFeed | Unopened> {
    const sources = await this.#options.sourcesNow(this.partition);
    let isGone = sources.some(({ role }) => role === "master");
    for (const source of sources) {
      if (this.#stop.signal.aborted) return "silent";
      const feed = await this.#open(source);
      if (typeof feed !== "string") return feed;
      isGone &&= feed === "gone";
    }
    return isGone ? "gone" : "silent";
  }

  async #open(source: Source): Promise<ChangeFeed | Unopened> {
    const { credentials, tls, clock } = this.#options;
    const signal = AbortSignal.any([this.#options.signal, this.#stop.signal]);
    const access = { credentials, tls, clock, signal };
    try {
      if (source.role === "master" && (await this.#countsReplicas(source, access))) {
        this.#refusal = `only its master ${source.node} could give the feed, and min-replicas-to-write would count the reader`;
        return "gone";
      }
      const start = { replicationId: this.#replicationId, offset: this.#offset };
      return (await openChangeFeed(source, start, access)) ?? "gone";
    } catch (error) {
      if (error instanceof NodeError) return "silent";
      throw error;
    }
  }

  /** A reader of a master's feed counts for min-replicas-to-write: it would take writes that no replica has. */
  async #countsReplicas(
    source: Source,
    access: Pick<FeedRecorderOptions, "credentials" | "tls" | "clock" | "signal">,
  ): Promise<boolean> {
    const socket = await openNodeSocket(source, { ...access, silenceMsMax: SILENCE_MS_MAX });
    try {
      const info = textOf(await socket.call("INFO", "replication")) ?? "";
      return info.includes("min_slaves_good_slaves:");
    } finally {
      socket.destroy();
    }
  }

  #change(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }

  async #changed(withinMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.after(withinMs, resolve);
      const watcher = (): void => {
        this.#watchers.delete(watcher);
        cancel();
        resolve();
      };
      this.#watchers.add(watcher);
    });
  }
}
