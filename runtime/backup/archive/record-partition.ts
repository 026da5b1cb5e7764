// record-partition.ts: the change feed of one partition from node to node for as long as it is asked for.
//
//   INFO (feedAt) -> PSYNC -> chunks ... --breaks off, or lags--> the next node that has the offset
//      another id        -> the history goes on under it
//      a lost branch     -> back to where it begins, and on under the new id
//      every node, the master among them, has dropped it -> a gap: from now on
import type { Credentials } from "../../core/credentials.ts";
import type { HistoryMark } from "../../core/view.ts";
import type { Clock } from "../../ports/clock.ts";
import type { LinkTls } from "../../ports/link-tls.ts";
import { openChangeFeed, type ChangeFeed } from "../../replication/change-feed.ts";
import { NodeError } from "../../replication/node-error.ts";
import { openNodeSocket } from "../../replication/node-socket.ts";
import { infoFields } from "../../resp/info-fields.ts";
import { textOf } from "../../resp/value.ts";
import type { Source } from "../../replication/choose-source.ts";
import { feedAt, type FeedAt } from "./feed-at.ts";

export interface RecordOptions {
  readonly credentials: Credentials | undefined;
  readonly tls?: LinkTls | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Whom the partition may be read from now, best first; empty when that is not known. */
  readonly sourcesNow: (partition: number) => Promise<readonly Source[]>;
}

export interface RecordSink {
  /** The feed goes on behind this mark. `before`: the id of what was recorded up to it; absent: there is a gap. */
  onHistory(partition: number, mark: HistoryMark, before: string | undefined, why: string): void;
  /** The next bytes; the node is not read further before it resolves. */
  onChunk(partition: number, chunk: Buffer): Promise<void>;
}

const RETRY_MS = 200;
const CALL_MS_MAX = 5000;

export class PartitionRecorder {
  readonly partition: number;
  readonly #options: RecordOptions;
  readonly #sink: RecordSink;
  /** What somebody has already, oldest first: any of them will do. */
  #candidates: readonly HistoryMark[];
  #mine: HistoryMark | undefined;
  #feed: ChangeFeed | undefined;
  #node = "";
  /** Read last: it was silent while others went on. */
  #slow = "";
  #waitsFor = "";

  constructor(
    partition: number,
    candidates: readonly HistoryMark[],
    options: RecordOptions,
    sink: RecordSink,
  ) {
    this.partition = partition;
    this.#candidates = candidates;
    this.#options = options;
    this.#sink = sink;
  }

  /** The node that is read; empty: none. */
  get node(): string {
    return this.#feed === undefined ? "" : this.#node;
  }

  /** Why nothing is read; empty: it is. */
  get waitsFor(): string {
    return this.#feed === undefined ? this.#waitsFor : "";
  }

  /** Goes on at another node if there is one: a replica that has lost its master is silent. */
  reopen(): void {
    this.#slow = this.#node;
    this.#feed?.close();
  }

  /** Until the signal is aborted. */
  async run(): Promise<void> {
    const { signal, clock } = this.#options;
    const end = (): void => this.#feed?.close();
    const isOver = (): boolean => signal.aborted;
    signal.addEventListener("abort", end);
    try {
      while (!isOver()) {
        const feed = await this.#openAny();
        // Over meanwhile: nobody else would close it.
        if (isOver()) feed?.close();
        else if (feed !== undefined) await this.#record(feed);
        if (!isOver()) await clock.delay(RETRY_MS);
      }
    } finally {
      signal.removeEventListener("abort", end);
    }
  }

  async #record(feed: ChangeFeed): Promise<void> {
    this.#feed = feed;
    try {
      for (;;) {
        const chunk = await feed.chunk();
        const { replicationId, offset } = this.#mine ?? { replicationId: "", offset: 0 };
        this.#mine = { replicationId, offset: offset + chunk.length };
        await this.#sink.onChunk(this.partition, chunk);
      }
    } catch (error) {
      if (!(error instanceof NodeError)) throw error;
      this.#waitsFor = `${this.#node}: ${error.message}`;
    } finally {
      feed.close();
      this.#feed = undefined;
    }
  }

  async #openAny(): Promise<ChangeFeed | undefined> {
    const found = await this.#options.sourcesNow(this.partition);
    const sources = found.toSorted(
      (a, b) => Number(a.node === this.#slow) - Number(b.node === this.#slow),
    );
    if (sources.length === 0) this.#waitsFor = "it has neither a master nor a replica in sync";
    const isKnown = this.#mine !== undefined || this.#candidates.length > 0;
    let whyGone = "";
    let goneCount = 0;
    for (const source of sources) {
      const marks = this.#mine === undefined ? this.#candidates : [this.#mine];
      for (const mark of marks.length === 0 ? [undefined] : marks) {
        const opened = await this.#open(source, mark);
        if (typeof opened === "object") return opened;
        if (opened === "wait") break;
        whyGone = `${source.node}: ${this.#waitsFor}`;
        if (mark === marks.at(-1)) goneCount++;
      }
    }
    const hasMaster = sources.some(({ role }) => role === "master");
    if (!isKnown || !hasMaster || goneCount < sources.length) return undefined;
    return this.#fromNowOn(sources, whyGone);
  }

  async #fromNowOn(sources: readonly Source[], why: string): Promise<ChangeFeed | undefined> {
    this.#mine = undefined;
    this.#candidates = [];
    for (const source of sources) {
      const opened = await this.#open(source, undefined, why);
      if (typeof opened === "object") return opened;
    }
    return undefined;
  }

  async #open(
    source: Source,
    mark: HistoryMark | undefined,
    why = "",
  ): Promise<ChangeFeed | "wait" | "gone"> {
    const { credentials, tls, clock, signal } = this.#options;
    const access = { credentials, tls, clock, signal };
    try {
      const at = feedAt(mark, await infoOf(source, access));
      if (at.kind !== "open") return this.#note(at);
      const feed = await openChangeFeed(source, at.mark, access);
      // It has changed since it answered.
      if (feed === undefined) return this.#note({ kind: "wait", why: "it refuses to go on" });
      this.#opened(source, mark, at, feed, why);
      return feed;
    } catch (error) {
      if (!(error instanceof NodeError)) throw error;
      return this.#note({ kind: "wait", why: `${source.node}: ${error.message}` });
    }
  }

  #note({ kind, why }: Exclude<FeedAt, { kind: "open" }>): "wait" | "gone" {
    this.#waitsFor = why;
    return kind;
  }

  #opened(
    { node }: Source,
    asked: HistoryMark | undefined,
    { mark, isBranch }: Extract<FeedAt, { kind: "open" }>,
    feed: ChangeFeed,
    why: string,
  ): void {
    const { replicationId } = feed;
    const isSame = this.#mine !== undefined && replicationId === mark.replicationId && !isBranch;
    this.#node = node;
    this.#mine = { replicationId, offset: mark.offset };
    this.#candidates = [];
    if (isSame) return;
    const reason =
      asked === undefined
        ? why || "recording began"
        : isBranch
          ? `${(asked.offset - mark.offset).toString()} bytes of partition ${this.partition} were lost by a failover`
          : replicationId === mark.replicationId
            ? "another archiver goes on"
            : `partition ${this.partition} got another master`;
    this.#sink.onHistory(
      this.partition,
      { replicationId, offset: mark.offset },
      asked === undefined ? undefined : mark.replicationId,
      reason,
    );
  }
}

async function infoOf(
  source: Source,
  access: Pick<RecordOptions, "credentials" | "tls" | "clock" | "signal">,
): Promise<ReadonlyMap<string, string>> {
  const socket = await openNodeSocket(source, { ...access, silenceMsMax: CALL_MS_MAX });
  try {
    return infoFields(textOf(await socket.call("INFO", "replication")) ?? "");
  } finally {
    socket.destroy();
  }
}
