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
import { History } from "./history.ts";
import type { Stream } from "./network.ts";
import {
  NOWHERE,
  type Address,
  type ReplicationLink,
  type ReplicationSurroundings,
  type Snapshot,
  type Writes,
} from "./replication-link.ts";

type UplinkState = "idle" | "asking" | "receiving" | "loading" | "up";

export class Replication {
  readonly port: number;
  writes: Writes = [];
  readonly history: History;
  following: Address | null = NOWHERE;
  readonly #around: ReplicationSurroundings;
  #downlinks: ReplicationLink[] = [];
  #uplink: ReplicationLink | undefined;
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
    this.history = new History(around.name, around.random, around.backlogSize);
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
    this.#attempt += 1;
    this.#isContinuable = isContinuable;
    this.writes = snapshot.writes.slice(0, snapshot.count);
    if (isContinuable) this.history.start(snapshot.replicationId, snapshot.offset);
    else this.history.start(null, 0);
    this.following = NOWHERE;
    for (const tell of this.#orphans.splice(0)) tell();
  }

  /** Bytes of the stream as INFO tells: a replica that can't continue anything says 1. */
  get shownOffset(): number {
    return this.isMaster || this.isLinkUp || this.#isContinuable ? this.history.offset : 1;
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
    this.history.shift();
    this.dropReplicas();
  }

  /** REPLICAOF. */
  follow(address: Address): void {
    const { following } = this;
    if (following?.host === address.host && following.port === address.port) return;
    this.#leaveUplink("now");
    if (following === null) this.#isContinuable = true;
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
    const { id, offset } = this.history;
    return { writes: this.writes, count: this.writes.length, replicationId: id, offset };
  }

  // Upstream.

  #serve(link: ReplicationLink, id: string, offset: number): void {
    const isServing = this.isMaster || this.isLinkUp;
    if (this.#around.isLoading() || !isServing) {
      this.#tellDown(link);
      return;
    }
    this.#downlinks.push(link);
    const missed = this.history.since(id, offset);
    if (missed !== undefined) {
      link.state = "online";
      const { id: present } = this.history;
      this.#sendDown(link, () => {
        link.down.#continued(link, present, missed);
      });
      return;
    }
    if (!this.history.hasBacklog) this.history.renew();
    this.#sendDown(link, () => {
      link.down.#receiving(link);
    });
    const now = this.snapshot();
    const copy = { ...now, writes: now.writes.slice(0, now.count) };
    this.#around.after(this.#around.syncMs(), () => {
      this.#sendSnapshot(link, copy);
    });
  }

  #sendSnapshot(link: ReplicationLink, snapshot: Snapshot): void {
    if (!link.isUpOpen) return;
    const behind = this.history.after(snapshot.offset);
    if (behind === undefined || snapshot.replicationId !== this.history.id) {
      this.#drop(link);
      return;
    }
    link.state = "online";
    this.#sendDown(link, () => {
      link.down.#received(link, snapshot, behind);
    });
  }

  /** To the backlog and all who follow. */
  #feed(writes: readonly number[]): void {
    this.history.feed(writes);
    for (const link of this.#downlinks) {
      if (link.state !== "online") continue;
      this.#sendDown(link, () => {
        link.down.#streamed(link, writes);
      });
    }
  }

  #heardAck(link: ReplicationLink, offset: number): void {
    if (!link.isUpOpen) return;
    link.ackOffset = Math.max(link.ackOffset, offset);
    this.#around.acknowledged();
  }

  #drop(link: ReplicationLink): void {
    link.isUpOpen = false;
    this.#downlinks = this.#downlinks.filter((other) => other !== link);
    this.#tellDown(link);
    this.#around.acknowledged();
  }

  #tellDown(link: ReplicationLink): void {
    this.#sendDown(link, () => {
      link.down.#lost(link);
    });
  }

  #sendDown(link: ReplicationLink, task: () => void): void {
    link.toDown.send(() => {
      link.down.#around.run(link.downLife, task);
    });
  }

  // Downstream.

  #connect(): void {
    this.#attempt += 1;
    const up = this.following === null ? undefined : this.#around.at(this.following);
    if (up === undefined) return;
    const attempt = this.#attempt;
    const life = this.#around.life();
    this.#uplinkState = "asking";
    this.#around.after(this.#around.retryMs, () => {
      this.#around.run(life, () => {
        const isStuck = this.#uplinkState === "asking" || this.#uplinkState === "idle";
        if (attempt !== this.#attempt || !isStuck) return;
        this.#leaveUplink("now");
        this.#connect();
      });
    });
    const toUp = this.#around.streamTo(up);
    toUp.send(() => {
      this.#knock(up, life, attempt, toUp);
    });
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
    const link: ReplicationLink = {
      up,
      down: this,
      upLife,
      downLife: life,
      toDown,
      toUp,
      state: "snapshot",
      ackOffset: 0,
      isUpOpen: true,
    };
    toDown.send(() => {
      this.#around.run(life, () => {
        if (attempt !== this.#attempt) return;
        this.#uplink = link;
        this.#sendUp(link, () => {
          const id = this.#isContinuable ? this.history.id : "?";
          up.#serve(link, id, this.history.offset);
        });
      });
    });
  }

  #continued(link: ReplicationLink, id: string, entries: readonly number[]): void {
    if (link !== this.#uplink) return;
    if (id !== this.history.id) {
      this.history.shift(id);
      this.dropReplicas();
    }
    if (!this.history.hasBacklog) this.history.openBacklog();
    this.#uplinkState = "up";
    this.#apply(entries);
    this.#acknowledge(link);
  }

  /** The copy goes to a file: when it breaks off, nothing has happened to what is here. */
  #receiving(link: ReplicationLink): void {
    if (link !== this.#uplink) return;
    this.#uplinkState = "receiving";
  }

  /** From here on what the node held is gone from memory, and not yet replaced. */
  #received(link: ReplicationLink, snapshot: Snapshot, behind: readonly number[]): void {
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
        this.history.copied(snapshot.replicationId, snapshot.offset);
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

  #streamed(link: ReplicationLink, writes: readonly number[]): void {
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

  #acknowledge(link: ReplicationLink): void {
    const { offset } = this.history;
    this.#sendUp(link, () => {
      link.up.#heardAck(link, offset);
    });
  }

  #sendUp(link: ReplicationLink, task: () => void): void {
    link.toUp.send(() => {
      link.up.#around.run(link.upLife, task);
    });
  }

  /** The upstream end closed. */
  #lost(link: ReplicationLink): void {
    if (link !== this.#uplink) return;
    this.#leaveUplink("never");
    this.#connectSoon(this.#attempt);
  }

  /** At once where the link had worked, as Redis does; a refusal is tried again by its cron. But a copy is loaded in one
      go: nothing else begins before it is there (seed 80708: an older one was loaded over a newer one). */
  #connectSoon(attempt: number): void {
    const life = this.#around.life();
    this.#around.after(this.#around.retryMs * this.#around.random.next(), () => {
      this.#around.run(life, () => {
        if (attempt !== this.#attempt) return;
        if (this.#around.isLoading()) this.#connectSoon(attempt);
        else this.#connect();
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
}
