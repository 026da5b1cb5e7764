// actor.ts: carries out an alpha's actions on data nodes; one actor per epoch.
//
//   fence a node: connect as twined:NAME:EPOCH, close what earlier alphas, and this one before, still hold there
//   act:          fence the whole partition first, check lease and epoch, send
//
// Invariant: nothing is sent unless the lease stands in that very moment, and no connection of this file ever
// reconnects: an alpha that was paused finds its connections closed by its successor, and what it was about to send
// has nowhere to go. What is left is the time between the check and the server's reading of the command.
import type { Credentials } from "../../core/credentials.ts";
import type { HistoryMark } from "../../core/view.ts";
import type { Clock } from "../../ports/clock.ts";
import type { OpenLink, RedisLink } from "../../ports/redis-link.ts";
import type { Action } from "../decide/actions.ts";
import { parseInfo } from "../decide/info.ts";
import { isPausedAt, type Pause, type Pauses } from "../decide/pauses.ts";
import type { RescueOutcome, RescueOutcomes } from "../decide/rescues.ts";
import type { Emit } from "../emit.ts";
import type { Rescuer } from "./rescue.ts";
import { sendOrder, type Order } from "./send-action.ts";

export interface ActorOptions {
  readonly monitor: string;
  readonly epoch: number;
  readonly leaseMs: number;
  readonly credentials: Credentials | undefined;
  readonly clock: Clock;
  readonly openLink: OpenLink;
  /** Absent: a rogue master is detached without a rescue. */
  readonly rescuer?: Rescuer | undefined;
  readonly emit: Emit;
  /** Whether the lease of this epoch stands now. */
  readonly mayAct: () => boolean;
  /** An action on this node was answered: look at it again. */
  readonly onActed: (node: string) => void;
}

export interface FenceTarget {
  readonly node: string;
  readonly partition: number;
  readonly host: string;
  readonly port: number;
}

export interface Actor {
  /** Fences nodes that this epoch has not fenced yet. */
  fence(targets: readonly FenceTarget[]): void;
  /** Starts what is not under way already; returns at once. */
  act(actions: readonly Action[]): void;
  /** node -> since when it is certain that no command of this or an earlier alpha is on its way to it. */
  quietSinceMs(): ReadonlyMap<string, number>;
  /** Whose writes were paused, and not let go on since. */
  pauses(): Pauses;
  /** What became of rescues, by node. */
  rescues(): RescueOutcomes;
  close(): void;
}

/** What an actor knows of one node. */
interface Hold {
  readonly target: FenceTarget;
  link: Promise<RedisLink>;
  isBusy: boolean;
  /** An action was answered then; an INFO asked for earlier is out of date. */
  doneAtMs: number;
  /** When the fence stood, or the last action was answered; null while a command's fate is unknown. */
  quietSinceMs: number | null;
  /** Not before then: a node that refuses is not asked a thousand times a second. */
  retryAtMs: number;
}

export function createActor(options: ActorOptions): Actor {
  return new EpochActor(options);
}

class EpochActor implements Actor {
  readonly #options: ActorOptions;
  readonly #holds = new Map<string, Hold>();
  readonly #pauses = new Map<string, Pause>();
  readonly #rescues = new Map<string, RescueOutcome>();
  #isClosed = false;

  constructor(options: ActorOptions) {
    this.#options = options;
  }

  fence(targets: readonly FenceTarget[]): void {
    for (const target of targets) {
      const hold = this.#holdOf(target);
      // Its link broke under an action that was never answered: without a new fence nobody would ever know the node to
      // be quiet again, and a decision may wait for that.
      if (hold.quietSinceMs === null && !hold.isBusy) {
        this.#standingLink(hold).catch(() => undefined);
      }
    }
  }

  act(actions: readonly Action[]): void {
    for (const action of actions) this.#start(action);
  }

  quietSinceMs(): ReadonlyMap<string, number> {
    const quiet = new Map<string, number>();
    for (const [node, { isBusy, quietSinceMs }] of this.#holds) {
      if (!isBusy && quietSinceMs !== null) quiet.set(node, quietSinceMs);
    }
    return quiet;
  }

  pauses(): Pauses {
    return this.#pauses;
  }

  rescues(): RescueOutcomes {
    return this.#rescues;
  }

  close(): void {
    this.#isClosed = true;
    for (const { link } of this.#holds.values()) {
      link.then(
        (opened) => {
          opened.close();
        },
        () => undefined,
      );
    }
  }

  #holdOf(target: FenceTarget): Hold {
    const known = this.#holds.get(target.node);
    if (known !== undefined) return known;
    const link = this.#open(target);
    const hold = { target, link, isBusy: false, doneAtMs: -1, quietSinceMs: null, retryAtMs: 0 };
    this.#holds.set(target.node, hold);
    this.#noteFence(hold, link);
    return hold;
  }

  /** Whoever needs the link sees the failure; a fence that nobody waits for is simply tried again later. */
  #noteFence(hold: Hold, link: Promise<RedisLink>): void {
    link.then(
      () => {
        hold.quietSinceMs = this.#options.clock.nowMs();
        if (!this.#isClosed) this.#options.onActed(hold.target.node);
      },
      () => this.#holds.delete(hold.target.node),
    );
  }

  async #open(target: FenceTarget): Promise<RedisLink> {
    const { openLink, monitor, epoch, leaseMs, credentials, emit } = this.#options;
    const link = await openLink(target, {
      credentials,
      clientName: `twined:${monitor}:${epoch}`,
      connectTimeoutMs: leaseMs,
      commandTimeoutMs: 2 * leaseMs,
    });
    if (this.#isClosed) link.close();
    try {
      const closed = await closeOtherAlphas(link, epoch);
      if (closed > 0) emit("+fence", { node: target.node, links: closed });
    } catch (error) {
      link.close();
      throw error;
    }
    return link;
  }

  async #standingLink(hold: Hold): Promise<RedisLink> {
    const before = hold.link;
    const link = await before;
    if (link.isOpen) return link;
    // Two may have waited for the same link: the second takes what the first has opened.
    if (hold.link !== before) return this.#standingLink(hold);
    hold.link = this.#open(hold.target);
    this.#noteFence(hold, hold.link);
    return hold.link;
  }

  #start(action: Action): void {
    const { clock, emit, leaseMs } = this.#options;
    const hold = this.#holdOf(action);
    const isOld = action.askedAtMs <= hold.doneAtMs;
    if (hold.isBusy || isOld || clock.nowMs() < hold.retryAtMs) return;
    hold.isBusy = true;
    this.#carryOut(action, hold)
      .catch(async (error: unknown) => {
        hold.retryAtMs = clock.nowMs() + leaseMs / 5;
        await this.#forsake(hold, error);
        const why = error instanceof Error ? error.message : String(error);
        if (!this.#isClosed) emit("-act", { node: action.node, action: action.kind, why });
      })
      .finally(() => {
        hold.isBusy = false;
      });
  }

  async #carryOut(action: Action, hold: Hold): Promise<void> {
    const siblings = [...this.#holds.values()].filter(
      (other) => other.target.partition === action.partition,
    );
    await Promise.allSettled(siblings.map((other) => other.link));
    const link = await this.#standingLink(hold);
    if (this.#isClosed || !this.#options.mayAct()) return;
    const { clock, emit, rescuer } = this.#options;
    if (action.kind === "rescue" && rescuer !== undefined) {
      await this.#rescue(action, rescuer, link);
    } else {
      const order: Order = action.kind === "rescue" ? { ...action, kind: "step-down" } : action;
      await sendOrder(link, order, clock, this.#pauses);
      emitOrder(emit, order);
    }
    hold.doneAtMs = clock.nowMs();
    hold.quietSinceMs = hold.doneAtMs;
    this.#options.onActed(action.node);
  }

  /**
   * Whatever comes of it is an outcome: the view says so before the node is detached. As long as its writes are paused the
   * node executes none, so the file has all up to where the node stands afterwards. That is further than the file itself
   * says when the rescue lasted: every ten seconds Redis sends its replicas a PING through the stream.
   */
  async #rescue(
    action: Action & { kind: "rescue" },
    rescuer: Rescuer,
    link: RedisLink,
  ): Promise<void> {
    const { emit, epoch, monitor, clock } = this.#options;
    const { node, runId, host, port, revision } = action;
    const pause = this.#pauses.get(node);
    try {
      const saved = await rescuer.save({ node, host, port, epoch, revision });
      const place = `${monitor}:${saved.path}`;
      const now = await historyMarkOf(link);
      const upTo = now !== undefined && isPausedAt(pause, clock.nowMs()) ? now : saved.upTo;
      this.#rescues.set(node, { runId, place, why: "", upTo });
      emit("+rescue", { node, place });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#rescues.set(node, { runId, place: null, why });
      emit("-rescue", { node, why });
    }
  }

  /**
   * After a failure. An error that the node replied is an answer: nothing was done, the link is as good as before.
   * Without an answer the command may still be executed, by a node that wakes up even after our side is closed: the node
   * is not quiet again before a new link has closed this one there.
   */
  async #forsake(hold: Hold, error: unknown): Promise<void> {
    if (isReply(error)) return;
    hold.quietSinceMs = null;
    const link = await hold.link.catch(() => undefined);
    link?.close();
  }
}

/** Where the node stands in its history; undefined when it does not say. */
async function historyMarkOf(link: RedisLink): Promise<HistoryMark | undefined> {
  const text = await link.call("INFO").catch(() => undefined);
  const info = typeof text === "string" ? parseInfo(text) : undefined;
  return info === undefined
    ? undefined
    : { replicationId: info.replicationId, offset: info.offset };
}

/** Whether the server itself said no. ioredis names such errors so. */
function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === "ReplyError";
}

function emitOrder(emit: Emit, order: Order): void {
  const { node } = order;
  switch (order.kind) {
    case "promote":
      emit("+told", { node });
      break;
    case "detach":
      emit("+detach", { node });
      break;
    case "repoint":
      emit("+repoint", { node, master: order.master.name });
      break;
    case "pause":
      emit("+pause", { node, forMs: order.forMs });
      break;
    case "unpause":
      emit("-pause", { node });
      break;
    case "step-down":
      emit("+step-down", { node });
      break;
    default:
      order satisfies never;
  }
}

/**
 * Closes the connections named twined:NAME:EPOCH of lower epochs, and those of this epoch but for the one that asks: a
 * command may still wait in one of them. Answers how many.
 */
async function closeOtherAlphas(link: RedisLink, epoch: number): Promise<number> {
  const [list, own] = await Promise.all([
    link.call("CLIENT", "LIST", "TYPE", "normal"),
    link.call("CLIENT", "ID"),
  ]);
  const others = typeof list === "string" ? otherAlphas(list, epoch, `${own as number}`) : [];
  await Promise.all(others.map((id) => link.call("CLIENT", "KILL", "ID", id)));
  return others.length;
}

/** Ids of the connections in a CLIENT LIST that alphas hold up to `epoch`, but for the connection `own`. */
export function otherAlphas(clientList: string, epoch: number, own: string): string[] {
  const ids: string[] = [];
  for (const line of clientList.split("\n")) {
    const found = /^id=(\d+) .*\bname=twined:[^: ]+:(\d+)( |$)/.exec(line);
    const [, id = "", heldEpoch = ""] = found ?? [];
    if (found !== null && Number(heldEpoch) <= epoch && id !== own) ids.push(id);
  }
  return ids;
}
