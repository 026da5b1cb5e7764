// replica-set.ts: one master and its replicas, watched and healed only by this process.
//
//   every fifth of downAfterMs, and at once when a connection broke --> INFO to every member --> heal (pure) --> act
//                                        before a promotion: INFO once more to silent members --> heal
//
// A member counts as silent only while this process could receive replies: if its event loop was blocked, replies lay
// unread, so the silence of every member is counted anew (stall-watch.ts).
// Rounds never overlap. A member that can't be reached is tried again in the next round, on a new connection.
import type { Credentials } from "../core/credentials.ts";
import { TwineError } from "../core/errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { LinkTls } from "../ports/link-tls.ts";
import { LinkError, openRedisLink, type RedisLink } from "../ports/redis-link.ts";
import {
  followedOutside,
  heal,
  parseMemberInfo,
  type Healing,
  type MemberState,
  type Stranger,
} from "./heal.ts";
import { StallWatch } from "./stall-watch.ts";

export interface RedNode {
  readonly host: string;
  readonly port: number;
  readonly db?: number;
}

/** One node of the set, as of its last reply. */
export interface SetMember {
  /** host:port. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly db: number;
  readonly runId: string | null;
}

export interface ReplicaSetOptions {
  /** The index of the set: its partition. */
  readonly index: number;
  /** The first one is the configured master. */
  readonly nodes: readonly RedNode[];
  readonly credentials: Credentials | undefined;
  readonly clock: Clock;
  readonly tls: LinkTls | undefined;
  readonly downAfterMs: number;
  /** The master or the replicas changed. */
  onChange(): void;
  onFailover(from: string, to: string): void;
  onError(error: Error): void;
}

interface Member {
  readonly target: Omit<SetMember, "runId">;
  link: RedisLink | undefined;
  state: MemberState["state"];
  heardAtMs: number;
}

export class ReplicaSet {
  readonly #options: ReplicaSetOptions;
  readonly #members: readonly Member[];
  #master: string | undefined;
  #lastMaster: string | undefined;
  #shown = "";
  #toldClash = "";
  #strangers: readonly Stranger[] = [];
  readonly #stall: StallWatch;
  #round: Promise<void> | undefined;
  #isAskedAgain = false;
  #isClosed = false;
  #endTimer: (() => void) | undefined;

  constructor(options: ReplicaSetOptions) {
    this.#options = options;
    this.#stall = new StallWatch(options.clock, options.downAfterMs / 4);
    const nowMs = options.clock.nowMs();
    this.#members = options.nodes.map(({ host, port, db = 0 }) => {
      const address = host === "localhost" ? "127.0.0.1" : host;
      const target = { name: `${address}:${port}`, host: address, port, db };
      return { target, link: undefined, state: { silentMs: 0 }, heardAtMs: nowMs };
    });
  }

  get master(): SetMember | undefined {
    return this.members.find(({ name }) => name === this.#master);
  }

  /** Replicas that are in sync with the master. */
  get readers(): readonly SetMember[] {
    return this.#members
      .filter(({ state, target }) => {
        const isReplica =
          typeof state === "object" &&
          "role" in state &&
          state.role === "replica" &&
          state.isLinkUp;
        const isStranger = this.#strangers.some(({ name }) => name === target.name);
        return isReplica && !isStranger && target.name !== this.#master;
      })
      .map(asMember);
  }

  get members(): readonly SetMember[] {
    return this.#members.map(asMember);
  }

  /** Runs a round now. If one is in progress, joins it and schedules another after it. */
  tend(): Promise<void> {
    if (this.#round !== undefined) {
      this.#isAskedAgain = true;
      return this.#round;
    }
    this.#round = this.#tendOnce().finally(() => {
      this.#round = undefined;
      if (this.#isClosed) return;
      this.#endTimer?.();
      const delayMs = this.#isAskedAgain ? 0 : this.#options.downAfterMs / 5;
      this.#isAskedAgain = false;
      this.#endTimer = this.#options.clock.after(delayMs, () => void this.tend());
    });
    return this.#round;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#endTimer?.();
    this.#stall.close();
    for (const { link } of this.#members) link?.close();
    await this.#round;
    for (const { link } of this.#members) link?.close();
  }

  async #tendOnce(): Promise<void> {
    const { downAfterMs } = this.#options;
    await Promise.all(this.#members.map((member) => this.#ask(member, downAfterMs / 2)));
    let healing = await this.#judge();
    if (healing.promote !== undefined) {
      // One late reply must not cause a failover.
      const silent = this.#members.filter(({ link }) => link === undefined);
      await Promise.all(silent.map((member) => this.#ask(member, downAfterMs / 4)));
      healing = await this.#judge();
    }
    if (this.#isClosed) return;
    this.#tellStrangers(healing.strangers);
    this.#reportConflict(healing);
    try {
      if (healing.promote === undefined) this.#serve(healing.master);
      else await this.#promote(healing.promote);
      const master = this.#master;
      if (master !== undefined) await this.#repoint(healing.repoint, master);
    } catch (error) {
      // The member may be down: the next round will find out.
      this.#options.onError(error instanceof Error ? error : new Error(String(error)));
    }
    this.#tellChange();
  }

  async #judge(): Promise<Healing> {
    const states = this.#members.map(({ target, state }) => ({ name: target.name, state }));
    const outside = followedOutside(states);
    const isAlive = await Promise.all(outside.map((address) => this.#isAlive(address)));
    return heal(states, {
      known: this.#lastMaster,
      configured: this.#members[0]?.target.name ?? "",
      downAfterMs: this.#options.downAfterMs,
      aliveOutside: new Set(outside.filter((_, index) => isAlive[index])),
    });
  }

  /** Whether a redis-server replies there, even with an authentication error. */
  async #isAlive(address: string): Promise<boolean> {
    const { credentials, tls, downAfterMs } = this.#options;
    const colon = address.lastIndexOf(":");
    const node = { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) };
    try {
      const connectTimeoutMs = Math.max(downAfterMs / 4, 50);
      const link = await openRedisLink(node, { credentials, tls, connectTimeoutMs });
      link.close();
      return true;
    } catch (error) {
      const cause = error instanceof LinkError ? error.cause : undefined;
      return cause instanceof Error && cause.name === "ReplyError";
    }
  }

  async #ask(member: Member, atMostMs: number): Promise<void> {
    const { clock, credentials } = this.#options;
    const waitMs = Math.max(atMostMs, 50);
    try {
      if (member.link?.isOpen !== true) {
        member.link = await openRedisLink(member.target, {
          credentials,
          tls: this.#options.tls,
          clientName: "twine-red",
          connectTimeoutMs: waitMs,
          commandTimeoutMs: waitMs,
        });
      }
      const text = await member.link.call("INFO");
      const info = typeof text === "string" ? parseMemberInfo(text) : undefined;
      if (info === undefined) throw new Error(`${member.target.name} tells no role`);
      member.state = info;
      member.heardAtMs = clock.nowMs();
    } catch (error) {
      member.link?.close();
      member.link = undefined;
      const isRefused = error instanceof LinkError && error.kind === "refused";
      const awakeSinceMs = this.#stall.awakeSinceMs();
      const silentMs = clock.nowMs() - Math.max(member.heardAtMs, awakeSinceMs);
      member.state = isRefused ? "refused" : { silentMs };
    }
  }

  #serve(master: string | undefined): void {
    const before = this.#lastMaster;
    this.#master = master;
    if (master === undefined || master === before) return;
    this.#lastMaster = master;
    if (before !== undefined) this.#options.onFailover(before, master);
  }

  async #promote(name: string): Promise<void> {
    this.#master = undefined;
    this.#tellChange();
    const link = this.#members.find(({ target }) => target.name === name)?.link;
    await link?.call("REPLICAOF", "NO", "ONE");
    this.#serve(name);
    // Before the other members are repointed, because requests are buffered.
    this.#tellChange();
  }

  async #repoint(names: readonly string[], master: string): Promise<void> {
    const to = this.#members.find(({ target }) => target.name === master)?.target;
    const members = this.#members.filter(({ target }) => names.includes(target.name));
    await Promise.all(
      members.map(async ({ link }) => link?.call("REPLICAOF", to?.host ?? "", to?.port ?? 0)),
    );
  }

  #reportConflict({ conflict }: Healing): void {
    const text = conflict.join(" and ");
    if (text !== "" && text !== this.#toldClash) {
      this.#options.onError(
        new TwineError({
          code: "RED_TWO_MASTERS",
          message: `replica set ${this.#options.index} has two masters, ${text}`,
          remedy: "make all but one of them replicas by REPLICAOF; which has your data, you know",
        }),
      );
    }
    this.#toldClash = text;
  }

  #tellStrangers(strangers: readonly Stranger[]): void {
    const told = this.#strangers;
    this.#strangers = strangers;
    for (const { name, follows, isAlive } of strangers) {
      const isSame = (other: Stranger): boolean =>
        other.name === name && other.follows === follows && other.isAlive === isAlive;
      if (told.some(isSame)) continue;
      this.#options.onError(
        new TwineError({
          code: "RED_FOREIGN_REPLICA",
          message:
            `${name} of replica set ${this.#options.index} follows ${follows}, which ` +
            (isAlive ? "lives" : "does not answer, has other data than the set") +
            " and is not in the set; nothing was changed",
          remedy:
            `correct the port, or name ${follows} in the set; to make ${name} a node of ` +
            "this set, detach it first by REPLICAOF NO ONE",
        }),
      );
    }
  }

  #tellChange(): void {
    const shown = JSON.stringify([this.master, this.readers.map(({ name }) => name)]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#options.onChange();
  }
}

function asMember({ target, state }: Member): SetMember {
  const runId = typeof state === "object" && "role" in state ? state.runId : null;
  return { ...target, runId };
}
