// replication.ts: a model of Redis 7.0 replication as far as a failover can feel it.
//
//   downstream: idle --connect--> asking --CONTINUE--> up
//                 ^                 '--FULLRESYNC--> receiving --payload--> loading --> up
//                 '---- lost, refused, another REPLICAOF: again after retryMs
//
// Tried on redis-server 7.0.15 (test/integration/simulation-model.test.ts compares the two): a promotion gives a new
// replication id and keeps the old one as second; detaching keeps id and offset; the first replica of a master without
// a backlog makes a new id; a demoted master keeps its replicas; a node that became another's copy drops its own.
// One write is one unit of offset, one key, and one number.
import type { SeededRandom } from "../support/seeded-random.ts";
import type { Stream } from "./network.ts";

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** What a node holds: the numbers of the writes, in the order in which they were executed. Only ever appended to. */
export type Writes = number[];

/** A part of `writes` that is not going to change: the first `count`. */
export interface Snapshot {
  readonly writes: Writes;
  readonly count: number;
  readonly replicationId: string;
  readonly offset: number;
}

/** What replication needs of the node that it belongs to. */
export interface ReplicationSurroundings {
  readonly name: string;
  readonly port: number;
  readonly random: SeededRandom;
  /** Between this node and another, in order. */
  streamTo(other: Replication): Stream;
  /** Runs in the present life of this node's process, when it is not paused. */
  run(life: number, task: () => void): void;
  life(): number;
  isUp(): boolean;
  isMute(): boolean;
  after(delayMs: number, task: () => void): void;
  at(address: Address): Replication | undefined;
  isLoading(): boolean;
  setLoading(isLoading: boolean): void;
  /** The whole dataset became another one. */
  replaced(): void;
  /** Writes are about to be appended, or were. */
  appended(isBefore: boolean): void;
  /** A downstream acknowledged more, or is gone. */
  acknowledged(): void;
  readonly retryMs: number;
  readonly backlogSize: number;
  /** A disk or network that takes its time: until the snapshot is made, and until it is loaded. */
  syncMs(): number;
}

/** One upstream and one downstream end. */
interface Link {
  readonly up: Replication;
  readonly down: Replication;
  readonly upLife: number;
  readonly downLife: number;
  readonly toDown: Stream;
  readonly toUp: Stream;
  state: "snapshot" | "online";
  ackOffset: number;
  sentOffset: number;
  isUpOpen: boolean;
}

interface Backlog {
  /** Offset before its first entry. */
  start: number;
  readonly entries: number[];
}

type UplinkState = "idle" | "asking" | "receiving" | "loading" | "up";

/** Nobody listens on port 1: a replica of nowhere. */
export const NOWHERE: Address = { host: "127.0.0.1", port: 1 };

export class Replication {
  readonly port: number;
  writes: Writes = [];
  replicationId = "";
  secondId = "";
  /** How far `secondId` reaches. */
  secondEnd = -1;
  offset = 0;
  following: Address | null = NOWHERE;
  readonly #around: ReplicationSurroundings;
  #backlog: Backlog | null = null;
  #downlinks: Link[] = [];
  #uplink: Link | undefined;
  #uplinkState: UplinkState = "idle";
  /** Whether what this node holds may be continued by id and offset: Redis calls it a cached master. */
  #isContinuable = false;
  /** What streamed in while the snapshot was loaded. */
  readonly #late: number[] = [];
  /** Ends of links whose other side does not know yet that this machine was gone. */
  #orphans: (() => void)[] = [];
  #attempt = 0;

  constructor(around: ReplicationSurroundings) {
    this.#around = around;
    this.port = around.port;
  }

  get isLinkUp(): boolean {
    return this.#uplinkState === "up";
  }

  get isReceiving(): boolean {
    return this.#uplinkState === "receiving" || this.#uplinkState === "loading";
  }

  get isMaster(): boolean {
    return this.following === null;
  }

  /** As INFO lists them. */
  replicas(): { readonly port: number; readonly isOnline: boolean; readonly offset: number }[] {
    return this.#downlinks.map(({ down, state, ackOffset }) => ({
      port: down.port,
      isOnline: state === "online",
      offset: ackOffset,
    }));
  }

  holdersOf(offset: number): number {
    return this.#downlinks.filter((link) => link.state === "online" && link.ackOffset >= offset)
      .length;
  }

  /** A fresh process with what its disk gave it; an id and offset only from an RDB. */
  start(snapshot: Snapshot, isContinuable: boolean): void {
    this.#downlinks = [];
    this.#uplink = undefined;
    this.#uplinkState = "idle";
    this.#backlog = null;
    this.#attempt += 1;
    this.#isContinuable = isContinuable;
    this.writes = snapshot.writes.slice(0, snapshot.count);
    this.replicationId = isContinuable ? snapshot.replicationId : this.#newId();
    this.offset = isContinuable ? snapshot.offset : 0;
    this.secondId = "";
    this.secondEnd = -1;
    this.following = NOWHERE;
    for (const tell of this.#orphans.splice(0)) tell();
  }

  /** Bytes of the stream as INFO tells: a replica that can't continue anything says 1. */
  get shownOffset(): number {
    return this.isMaster || this.isLinkUp || this.#isContinuable ? this.offset : 1;
  }

  /** The process has ended: the other ends hear of it, unless the machine went with it. */
  end(): void {
    const isMute = this.#around.isMute();
    for (const link of this.#downlinks) {
      link.isUpOpen = false;
      const tell = (): void => {
        this.#tellDown(link);
      };
      if (isMute) this.#orphans.push(tell);
      else tell();
    }
    this.#downlinks = [];
    this.#leaveUplink(isMute ? "later" : "now");
  }

  /** REPLICAOF NO ONE. */
  promote(): void {
    if (this.following === null) return;
    this.#leaveUplink("now");
    this.following = null;
    this.#shiftId(this.#newId());
    this.dropReplicas();
  }

  /** REPLICAOF. */
  follow(address: Address): void {
    const { following } = this;
    if (following?.host === address.host && following.port === address.port) return;
    const wasMaster = following === null;
    this.#leaveUplink("now");
    if (wasMaster) this.#isContinuable = true;
    this.following = address;
    this.#connect();
  }

  /** A master executes writes. */
  append(writes: readonly number[]): void {
    this.#extend(writes);
    this.#feed(writes);
  }

  dropReplicas(): void {
    for (const link of this.#downlinks) {
      link.isUpOpen = false;
      this.#tellDown(link);
    }
    this.#downlinks = [];
    this.#around.acknowledged();
  }

  snapshot(): Snapshot {
    const { writes, replicationId, offset } = this;
    return { writes, count: writes.length, replicationId, offset };
  }

  // Upstream.

  #serve(link: Link, id: string, offset: number): void {
    const isServing = this.isMaster || this.isLinkUp;
    if (this.#around.isLoading() || !isServing) {
      this.#tellDown(link);
      return;
    }
    this.#downlinks.push(link);
    if (this.#canContinue(id, offset)) {
      link.state = "online";
      link.sentOffset = this.offset;
      const entries = this.#backlog?.entries.slice(offset - this.#backlog.start) ?? [];
      const { replicationId } = this;
      this.#sendDown(link, () => {
        link.down.#continued(link, replicationId, entries);
      });
      return;
    }
    if (this.#backlog === null) {
      // There is no valid past history without a backlog: a new one begins.
      this.replicationId = this.#newId();
      this.secondId = "";
      this.#backlog = { start: this.offset, entries: [] };
    }
    this.#sendDown(link, () => {
      link.down.#receiving(link);
    });
    const { writes, count, replicationId, offset: at } = this.snapshot();
    const copy = { writes: writes.slice(0, count), count, replicationId, offset: at };
    link.sentOffset = at;
    this.#around.after(this.#around.syncMs(), () => {
      this.#sendSnapshot(link, copy);
    });
  }

  #sendSnapshot(link: Link, snapshot: Snapshot): void {
    if (!link.isUpOpen || this.#backlog === null) return;
    if (link.sentOffset < this.#backlog.start) {
      this.#drop(link);
      return;
    }
    const behind = this.#backlog.entries.slice(link.sentOffset - this.#backlog.start);
    link.state = "online";
    link.sentOffset = this.offset;
    this.#sendDown(link, () => {
      link.down.#received(link, snapshot, behind);
    });
  }

  #canContinue(id: string, offset: number): boolean {
    const backlog = this.#backlog;
    if (backlog === null) return false;
    const isKnown = id === this.replicationId || (id === this.secondId && offset <= this.secondEnd);
    return isKnown && offset >= backlog.start && offset <= this.offset;
  }

  /** To the backlog and all who follow. */
  #feed(writes: readonly number[]): void {
    const backlog = this.#backlog;
    if (backlog === null) return;
    this.offset += writes.length;
    backlog.entries.push(...writes);
    const excess = backlog.entries.length - this.#around.backlogSize;
    if (excess > this.#around.backlogSize / 4) {
      backlog.entries.splice(0, excess);
      backlog.start += excess;
    }
    for (const link of this.#downlinks) {
      if (link.state !== "online") continue;
      link.sentOffset = this.offset;
      this.#sendDown(link, () => {
        link.down.#streamed(link, writes);
      });
    }
  }

  #heardAck(link: Link, offset: number): void {
    if (!link.isUpOpen) return;
    link.ackOffset = Math.max(link.ackOffset, offset);
    this.#around.acknowledged();
  }

  #drop(link: Link): void {
    link.isUpOpen = false;
    this.#downlinks = this.#downlinks.filter((other) => other !== link);
    this.#tellDown(link);
    this.#around.acknowledged();
  }

  #tellDown(link: Link): void {
    this.#sendDown(link, () => {
      link.down.#lost(link);
    });
  }

  #sendDown(link: Link, task: () => void): void {
    link.toDown.send(() => {
      link.down.#around.run(link.downLife, task);
    });
  }

  // Downstream.

  #connect(): void {
    const { following } = this;
    this.#attempt += 1;
    const up = following === null ? undefined : this.#around.at(following);
    if (up === undefined) return;
    const attempt = this.#attempt;
    const life = this.#around.life();
    this.#uplinkState = "asking";
    this.#around.after(this.#around.retryMs, () => {
      this.#around.run(life, () => {
        const isStuck = this.#uplinkState === "asking" || this.#uplinkState === "idle";
        if (attempt === this.#attempt && isStuck) this.#retry();
      });
    });
    const toUp = this.#around.streamTo(up);
    toUp.send(() => {
      this.#knock(up, life, attempt, toUp);
    });
  }

  #retry(): void {
    this.#leaveUplink("now");
    this.#connect();
  }

  #knock(up: Replication, life: number, attempt: number, toUp: Stream): void {
    if (up.#around.isMute()) return;
    const toDown = up.#around.streamTo(this);
    if (!up.#around.isUp()) {
      toDown.send(() => {
        this.#around.run(life, () => {
          if (attempt === this.#attempt) this.#uplinkState = "idle";
        });
      });
      return;
    }
    const upLife = up.#around.life();
    const link: Link = {
      up,
      down: this,
      upLife,
      downLife: life,
      toDown,
      toUp,
      state: "snapshot",
      ackOffset: 0,
      sentOffset: 0,
      isUpOpen: true,
    };
    toDown.send(() => {
      this.#around.run(life, () => {
        if (attempt !== this.#attempt) return;
        this.#uplink = link;
        this.#sendUp(link, () => {
          const id = this.#isContinuable ? this.replicationId : "?";
          up.#serve(link, id, this.offset);
        });
      });
    });
  }

  #continued(link: Link, id: string, entries: readonly number[]): void {
    if (link !== this.#uplink) return;
    if (id !== this.replicationId) {
      this.#shiftId(id);
      this.dropReplicas();
    }
    this.#backlog ??= { start: this.offset, entries: [] };
    this.#uplinkState = "up";
    this.#apply(entries);
    this.#acknowledge(link);
  }

  #receiving(link: Link): void {
    if (link !== this.#uplink) return;
    this.#uplinkState = "receiving";
    this.#isContinuable = false;
  }

  /** From here on what the node held is gone from memory, and not yet replaced. */
  #received(link: Link, snapshot: Snapshot, behind: readonly number[]): void {
    if (link !== this.#uplink) return;
    this.#uplinkState = "loading";
    this.#isContinuable = false;
    this.dropReplicas();
    this.writes = [];
    this.#around.setLoading(true);
    const life = this.#around.life();
    this.#around.after(this.#around.syncMs(), () => {
      this.#around.run(life, () => {
        this.#around.setLoading(false);
        this.writes = snapshot.writes.slice(0, snapshot.count);
        this.replicationId = snapshot.replicationId;
        this.secondId = "";
        this.offset = snapshot.offset;
        this.#backlog = { start: this.offset, entries: [] };
        this.#isContinuable = true;
        this.#around.replaced();
        if (link !== this.#uplink) return;
        this.#uplinkState = "up";
        this.#apply(behind);
        this.#apply(this.#late.splice(0));
        this.#acknowledge(link);
      });
    });
  }

  #streamed(link: Link, writes: readonly number[]): void {
    if (link !== this.#uplink) return;
    if (this.#uplinkState !== "up") {
      this.#late.push(...writes);
      return;
    }
    this.#apply(writes);
    this.#acknowledge(link);
  }

  #apply(writes: readonly number[]): void {
    if (writes.length === 0) return;
    this.#extend(writes);
    this.#feed(writes);
  }

  #extend(writes: readonly number[]): void {
    this.#around.appended(true);
    this.writes.push(...writes);
    this.#around.appended(false);
  }

  #acknowledge(link: Link): void {
    const { offset } = this;
    this.#sendUp(link, () => {
      link.up.#heardAck(link, offset);
    });
  }

  #sendUp(link: Link, task: () => void): void {
    link.toUp.send(() => {
      link.up.#around.run(link.upLife, task);
    });
  }

  /** The upstream end closed. */
  #lost(link: Link): void {
    if (link !== this.#uplink) return;
    this.#leaveUplink("never");
    const life = this.#around.life();
    const attempt = this.#attempt;
    // At once where the link had worked, as Redis does; a refusal is tried again by its cron.
    this.#around.after(this.#around.retryMs * this.#around.random.next(), () => {
      this.#around.run(life, () => {
        if (attempt === this.#attempt) this.#connect();
      });
    });
  }

  /** `tells`: when the upstream end hears that this one is closed. */
  #leaveUplink(tells: "now" | "later" | "never"): void {
    const link = this.#uplink;
    this.#uplink = undefined;
    this.#attempt += 1;
    this.#late.length = 0;
    this.#uplinkState = "idle";
    if (link === undefined || tells === "never") return;
    const tell = (): void => {
      this.#sendUp(link, () => {
        if (!link.isUpOpen) return;
        link.isUpOpen = false;
        link.up.#downlinks = link.up.#downlinks.filter((other) => other !== link);
        link.up.#around.acknowledged();
      });
    };
    if (tells === "now") tell();
    else this.#orphans.push(tell);
  }

  #shiftId(id: string): void {
    this.secondId = this.replicationId;
    this.secondEnd = this.offset;
    this.replicationId = id;
  }

  #newId(): string {
    const digits = (): string => Math.floor(this.#around.random.next() * 2 ** 32).toString(16);
    return `${this.#around.name}.${digits()}`;
  }
}
