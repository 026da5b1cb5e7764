// move-source.ts: one source node into targets that divide its keys among them, exactly, while it is written to.
//
//   PSYNC --> RDB at offset X --> RESTORE into the targets            meanwhile the change feed from X on is kept on disk
//         \-> feed from X on  --> plan (feed-plan.ts) --> targets     until it is drained to any offset that is asked for
//                                     \-> keys to copy anew --> MULTI DUMP ROLE EXEC at the source --> RESTORE
//
// Nothing is kept by key but the few that were copied anew, so memory does not grow with the data. The source's node is only
// read; with a replica as source its master is not touched.
import type { HistoryMark } from "../core/view.ts";
import { openChangeFeed, type ChangeFeed } from "../replication/change-feed.ts";
import { FeedReader, type FeedCommand } from "../replication/feed-reader.ts";
import { NodeError } from "../replication/node-error.ts";
import { openNodeSocket, type NodeAddress, type NodeSocket } from "../replication/node-socket.ts";
import { openRdbStream } from "../replication/rdb-stream.ts";
import { RdbValues, type RdbItem } from "../replication/rdb/rdb-values.ts";
import { parseCommandTable, type CommandTable } from "../route/commands/command-table.ts";
import { copyExactly, type CopiedKey } from "./exact-copy.ts";
import { doubtfulKeys, expiryCheck, ExpiringKeys } from "./expiring-keys.ts";
import { planFeed } from "./feed-plan.ts";
import type { MoveSourceOptions } from "./move-source-options.ts";
import { isDelete, NO_MATTER, replacing } from "./replayed.ts";
import { historyGone, restartFor, tooLong } from "./move-errors.ts";
import type { MoveTarget } from "./target.ts";
import { TargetWrites } from "./target-writes.ts";

/** Where a feed goes on. */
export interface FeedMark extends HistoryMark {
  /** Of the command that comes next, unless it is a SELECT. */
  readonly db: number;
}

/** One MULTI makes the source stand still for its dumps. */
const KEYS_PER_COPY = 50;
const SILENCE_MS_MAX = 60_000;
const ELSEWHERE_WITHIN_MS = 60_000;
const ELSEWHERE_REST_MS = 200;

/** Of one node. Errors are NodeErrors of the source, or TwineErrors MOVE_REFUSED, MOVE_VALUE_TOO_LONG, MOVE_RESTART. */
export class MoveSource {
  readonly #options: MoveSourceOptions;
  readonly #values: RdbValues;
  readonly #expiring: ExpiringKeys;
  readonly #copiedAt = new Map<string, number>();
  readonly #writes: TargetWrites;
  #reader: FeedReader | undefined;
  #feed: Promise<ChangeFeed | undefined> | undefined;
  #asking: NodeSocket | undefined;
  #table: CommandTable = new Map();
  #spooling: Promise<void> | undefined;
  #isClosed = false;
  #keys = 0;
  #bytes = 0;
  #changes = 0;
  #copiedUpTo = -1;
  /** Up to there the targets may hold effects already: keys are copied, and no command is executed. */
  #replayTo = -1;

  constructor(options: MoveSourceOptions) {
    this.#options = options;
    this.#values = new RdbValues(options.valueBytesMax);
    this.#expiring = options.expiring ?? new ExpiringKeys();
    this.#writes = new TargetWrites(() => {
      options.spool.wake();
    });
  }

  /** Behind the last command whose effect has reached the targets; -1 before the RDB is loaded. */
  get offset(): number {
    return this.#reader?.offset ?? -1;
  }

  /** The history that the feed follows; undefined before the RDB is loaded. Throws NodeError. */
  async replicationId(): Promise<string | undefined> {
    return (await this.#feed)?.replicationId;
  }

  /** Of the RDB, so far. */
  get keys(): number {
    return this.#keys;
  }

  /** Values of the RDB that were sent so far, as RESTORE takes them. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Commands of the feed with an effect on the targets, so far. */
  get changes(): number {
    return this.#changes;
  }

  /** Nothing behind it can be in the targets. */
  get offsetMax(): number {
    return Math.max(this.offset, this.#copiedUpTo);
  }

  /** Where a later resume() goes on; undefined before the RDB is loaded. Not while drainTo() runs. */
  async mark(): Promise<FeedMark | undefined> {
    const replicationId = await this.replicationId();
    const reader = this.#reader;
    if (reader === undefined || replicationId === undefined) return undefined;
    return { replicationId, offset: reader.offset, db: reader.db };
  }

  /** The whole RDB into the targets. */
  async load(): Promise<void> {
    const { address } = this.#options;
    const access = await this.#open();
    const onStart = (start: HistoryMark): void => {
      this.#feed = openChangeFeed(address, start, access);
      this.#spool(start.offset);
    };
    const stream = openRdbStream(address, { ...access, onStart });
    for await (const chunk of stream.chunks()) {
      const [keys, bytes] = [this.#keys, this.#bytes];
      for (const item of this.#values.push(chunk)) this.#restoreItem(item);
      await this.#writes.belowLimit();
      await this.#options.copied?.(this.#keys - keys, this.#bytes - bytes);
    }
    this.#values.finish();
    await this.#writes.landed();
    this.#reader = new FeedReader(stream.offset, Math.max(0, this.#values.feedDb));
  }

  /**
   * Instead of load(): an earlier move has brought everything up to the mark into the targets, and perhaps more, up to
   * `replayTo`. Keys that were written in between are copied anew. False: the node no longer has what comes after the mark.
   */
  async resume(mark: FeedMark, replayTo: number): Promise<boolean> {
    const access = await this.#open();
    const feed = await openChangeFeed(this.#options.address, mark, access);
    if (feed === undefined) return false;
    this.#feed = Promise.resolve(feed);
    this.#spool(mark.offset);
    this.#reader = new FeedReader(mark.offset, mark.db);
    this.#replayTo = replayTo;
    this.#copiedUpTo = replayTo;
    return true;
  }

  /**
   * In place of load(): the targets have everything up to there. `elsewhere` names the nodes. The feed is opened and kept
   * at once; nothing is sent before drainTo(). Throws MOVE_RESTART when no node has the history.
   */
  async resumeElsewhere(start: HistoryMark): Promise<void> {
    this.#feed = this.#openElsewhere(start);
    if ((await this.#feed) === undefined) throw historyGone();
    this.#spool(start.offset);
    this.#reader = new FeedReader(start.offset, this.#options.db);
  }

  /** What has come and is not read yet. */
  get waitingBytes(): number {
    return this.#options.spool.waitingBytes;
  }

  /** Follows the feed until everything up to that offset has reached the targets. */
  async drainTo(offset: number): Promise<void> {
    while (this.offset < offset || this.#writes.hasRefused) await this.#step(this.offset < offset);
  }

  /**
   * Follows the feed to exactly that offset, where a command ends and which the feed has not passed. The keys (latin1)
   * whose values at the targets are of a later moment, because they were copied anew.
   */
  async drainExactly(offset: number): Promise<string[]> {
    while (this.offset < offset || this.#writes.hasRefused) {
      const missing = offset - this.offset - (this.#reader?.waitingBytes ?? 0);
      if (missing <= 0 && !this.#writes.hasRefused) break;
      await this.#step(missing > 0, missing);
    }
    if (this.offset !== offset) throw restartFor("the node's offset is no longer that of its feed");
    return [...this.#copiedAt].flatMap(([id, copiedAt]) => (copiedAt > offset ? [id] : []));
  }

  /** Follows the feed as far as it has come by now. */
  async drainWhatCame(): Promise<void> {
    this.#writes.requireWell();
    let bytes = this.waitingBytes;
    while (bytes > 0 || this.#writes.hasRefused) bytes -= await this.#step(bytes > 0);
  }

  /** How many bytes of the feed it has read; `hasMore`: it waits for some. */
  async #step(hasMore: boolean, bytesMax?: number): Promise<number> {
    const reader = this.#reader;
    if (reader === undefined) throw new Error("load() or resume() comes first");
    const chunk = hasMore ? await this.#options.spool.next(bytesMax) : Buffer.alloc(0);
    this.#writes.requireWell();
    await this.#follow(reader.push(chunk), reader.offset);
    return chunk.length;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#asking?.destroy();
    (await this.#feed?.catch(() => undefined))?.close();
    await this.#spooling;
  }

  async #open() {
    const { address, credentials, tls, signal, clock } = this.#options;
    await this.#ask(address);
    return { credentials, tls, signal, clock };
  }

  async #ask(address: NodeAddress): Promise<void> {
    const { credentials, readerCredentials = credentials, tls, signal, clock, db } = this.#options;
    this.#asking?.destroy();
    this.#asking = await openNodeSocket(address, {
      ...{ credentials: readerCredentials, tls, signal, clock, silenceMsMax: SILENCE_MS_MAX },
    });
    if (db !== 0) await this.#asking.call("SELECT", String(db));
    this.#table = parseCommandTable(await this.#asking.call("COMMAND"));
  }

  #spool(offset: number): void {
    this.#spooling = this.#fillSpool(offset).catch((error: unknown) => {
      this.#writes.fail(error);
    });
  }

  async #fillSpool(offset: number): Promise<void> {
    let reached = offset;
    for (;;) {
      const feed = await this.#feed;
      if (feed === undefined) throw historyGone();
      try {
        for (;;) {
          const chunk = await feed.chunk();
          reached += chunk.length;
          await this.#options.spool.push(chunk);
        }
      } catch (error) {
        const isOver = this.#isClosed || this.#options.signal.aborted;
        const isLost = error instanceof NodeError && this.#options.elsewhere !== undefined;
        if (isOver || !isLost) throw error;
        const { replicationId } = feed;
        this.#feed = this.#openElsewhere({ replicationId, offset: reached });
      }
    }
  }

  /** The first node that has the history; undefined: every node that answers has lost it. Throws the last failure. */
  async #openElsewhere(start: HistoryMark): Promise<ChangeFeed | undefined> {
    const { credentials, tls, signal, clock, elsewhere = () => [] } = this.#options;
    const endMs = clock.nowMs() + ELSEWHERE_WITHIN_MS;
    for (;;) {
      let failure: Error | undefined;
      for (const address of elsewhere()) {
        try {
          const feed = await openChangeFeed(address, start, { credentials, tls, signal, clock });
          if (feed === undefined) continue;
          await this.#ask(address).catch((error: unknown) => {
            feed.close();
            throw error;
          });
          return feed;
        } catch (error) {
          failure = error instanceof Error ? error : new Error(String(error));
        }
      }
      if (failure === undefined) return undefined;
      if (this.#isClosed || signal.aborted || clock.nowMs() > endMs) throw failure;
      await clock.delay(ELSEWHERE_REST_MS);
    }
  }

  #restoreItem(item: RdbItem): void {
    const { movesLibraries = true } = this.#options;
    if (item.kind === "library") {
      if (!movesLibraries) return;
      for (const target of this.#options.targets) {
        this.#writes.send(target, ["FUNCTION", "LOAD", "REPLACE", item.code], []);
      }
      return;
    }
    if (item.db !== this.#options.db) return;
    const index = this.#options.targetOf(item.key);
    const target = index === undefined ? undefined : this.#options.targets[index];
    if (target === undefined) return;
    if (item.kind === "long") throw tooLong(item.key, item.bytes, this.#options.valueBytesMax);
    this.#keys++;
    this.#bytes += item.dump.length;
    this.#restore(target, item, this.#options.replaces ?? true);
  }

  #restore(target: MoveTarget, { key, dump, expireAtMs }: CopiedKey, replaces = true): void {
    const words =
      dump === undefined
        ? ["DEL", key]
        : [
            "RESTORE",
            key,
            String(expireAtMs ?? 0),
            dump,
            "ABSTTL",
            ...(replaces ? ["REPLACE"] : []),
          ];
    if (expireAtMs !== undefined) this.#expiring.add(key);
    this.#writes.send(target, words, undefined);
  }

  async #follow(commands: readonly FeedCommand[], endOffset: number): Promise<void> {
    const { db, targets, movesLibraries = true } = this.#options;
    const refused = this.#writes.takeRefused();
    const plan = planFeed(commands, {
      ...{
        db,
        table: this.#table,
        copiedAt: this.#copiedAt,
        refused,
        copiesUpTo: this.#options.copiesChanges === true ? Infinity : this.#replayTo,
      },
      targetOf: (key) => this.#options.targetOf(key),
    });
    if (plan.restart !== undefined) throw restartFor(plan.restart);
    this.#changes += plan.writes.length + plan.forAll.length + plan.copies.length;
    for (const args of movesLibraries ? plan.forAll : []) {
      for (const target of targets)
        this.#writes.send(target, replacing(args), isDelete(args) ? NO_MATTER : []);
    }
    for (const { target, args, keys } of plan.writes) {
      const to = targets[target];
      if (to === undefined) continue;
      for (const key of doubtfulKeys(args, keys, this.#expiring)) {
        this.#writes.send(to, expiryCheck(key), [key]);
      }
      this.#writes.send(to, args, keys);
    }
    await this.#writes.landed();
    for (const [id, offset] of this.#copiedAt) if (offset <= endOffset) this.#copiedAt.delete(id);
    for (let at = 0; at < plan.copies.length; at += KEYS_PER_COPY) {
      await this.#copy(plan.copies.slice(at, at + KEYS_PER_COPY), endOffset);
    }
  }

  async #copy(keys: readonly Buffer[], endOffset: number): Promise<void> {
    const source = this.#asking;
    if (source === undefined) return;
    const copied = await copyExactly(source, keys, this.#table.has("pexpiretime"));
    if (copied.offset < endOffset) throw restartFor("the node's offset went back");
    this.#copiedUpTo = Math.max(this.#copiedUpTo, copied.offset);
    for (const value of copied.keys) {
      this.#copiedAt.set(value.key.toString("latin1"), copied.offset);
      const target = this.#options.targets[this.#options.targetOf(value.key) ?? -1];
      if (target !== undefined) this.#restore(target, value);
    }
    await this.#writes.landed();
  }
}
