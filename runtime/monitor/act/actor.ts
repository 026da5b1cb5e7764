// actor.ts: carries out an alpha's actions on data nodes; one actor per epoch.
//
//   fence a node: connect as twined:NAME:EPOCH, close the connections of earlier alphas and earlier ones of this alpha
//   act:          fence the whole partition first, check lease and epoch, send
//
// Invariant: a command is sent only while the lease holds, and a connection of this file never reconnects. When an alpha
// that was paused resumes, its successor has closed its connections, so its commands reach no node. The remaining risk is
// the time between the check and the server's reading of the command.
import type { Credentials } from "../../core/credentials.ts";
import type { HistoryMark } from "../../core/view.ts";
import type { Clock } from "../../ports/clock.ts";
import type { OpenLink, RedisLink } from "../../ports/redis-link.ts";
import type { Action } from "../decide/actions.ts";
import type { CutOutcome } from "../decide/cut.ts";
import { parseInfo } from "../decide/nodes/info.ts";
import { isPausedAt, type Pause, type Pauses } from "../decide/pauses.ts";
import type { RescueOutcome, RescueOutcomes } from "../decide/returning/rescues.ts";
import type { Rules } from "../decide/rules.ts";
import type { Emit } from "../emit.ts";
import type { Quiet } from "../quiet.ts";
import type { Rescuer } from "../../replication/rescue.ts";
import { closeOtherAlphas } from "./other-alphas.ts";
import { emitOrder } from "./order-events.ts";
import { sendOrder, type Order } from "./send-action.ts";
import { CutLinks, type OpenCutLinks } from "./cut-links.ts";
import { takeUnheldCut, type CutLink } from "./take-cut.ts";
import { errorText } from "../../core/error-text.ts";

export interface ActorOptions {
  readonly monitor: string;
  readonly epoch: number;
  readonly leaseMs: number;
  readonly credentials: Credentials | undefined;
  readonly clock: Clock;
  readonly openLink: OpenLink;
  /** Absent: cuts are taken over the links of all other actions. */
  readonly openCutLink?: OpenCutLinks | undefined;
  /** Absent: a rogue master is detached without a rescue. */
  readonly rescuer?: Rescuer | undefined;
  readonly emit: Emit;
  /** Nodes whose writes an earlier alpha may have paused, by the view that this alpha found. */
  readonly mayBePaused: ReadonlySet<string>;
  readonly quiet: Quiet;
  readonly rules: Rules;
  /** Whether the lease of this epoch holds now. */
  readonly mayAct: () => boolean;
  /** An action on this node was answered: observe it again. */
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
  /** Starts actions that are not under way yet; returns at once. */
  act(actions: readonly Action[]): void;
  /** Begins the cut with that id once; `targets` are the masters by partition. Returns at once. */
  cut(id: string, targets: readonly FenceTarget[]): void;
  /** The result of the last cut that was begun; undefined until it is over. */
  cutOutcome(): CutOutcome | undefined;
  /** node -> since when no command of this or an earlier alpha can still reach it. */
  acknowledgedAtMs(): ReadonlyMap<string, number>;
  /** Nodes whose writes were paused and not unpaused since. */
  pauses(): Pauses;
  /** The results of rescues, by node. */
  rescues(): RescueOutcomes;
  close(): void;
}

/** The actor's state for one node. */
interface NodeHandle {
  readonly target: FenceTarget;
  link: Promise<RedisLink>;
  isBusy: boolean;
  /** When the last action was answered; an INFO that was asked for earlier is outdated. */
  doneAtMs: number;
  /** When the node was fenced, or the last action was answered; null while a command's outcome is unknown. */
  acknowledgedAtMs: number | null;
  /** No new attempt before this: a node that refuses must not be asked a thousand times a second. */
  retryAtMs: number;
}

export function createActor(options: ActorOptions): Actor {
  return new EpochActor(options);
}

class EpochActor implements Actor {
  readonly #options: ActorOptions;
  readonly #handles = new Map<string, NodeHandle>();
  readonly #pauses = new Map<string, Pause>();
  readonly #rescues = new Map<string, RescueOutcome>();
  /** Nodes that may have a pause of Twine's that `#pauses` does not list: an earlier alpha's, or one whose command was
      never answered. No other pause is ended: somebody may have set it by hand. */
  readonly #unknownPauses: Set<string>;
  readonly #cutLinks: CutLinks | undefined;
  #cutId: string | undefined;
  #cutOutcome: CutOutcome | undefined;
  #isClosed = false;

  constructor(options: ActorOptions) {
    this.#options = options;
    this.#unknownPauses = new Set(options.mayBePaused);
    const { openCutLink, clock, credentials, leaseMs } = options;
    if (openCutLink === undefined) return;
    const named = { clientName: this.#clientName, silenceMsMax: 2 * leaseMs };
    this.#cutLinks = new CutLinks(openCutLink, { clock, credentials, ...named });
  }

  fence(targets: readonly FenceTarget[]): void {
    for (const target of targets) {
      const handle = this.#handleOf(target);
      // Its link broke before an action was answered. Without a new connection the node would stay stale forever, and a
      // decision may wait for it.
      if (handle.acknowledgedAtMs === null && !handle.isBusy) {
        this.#openLinkOf(handle).catch(() => undefined);
      }
    }
  }

  act(actions: readonly Action[]): void {
    for (const action of actions) this.#start(action);
  }

  cut(id: string, targets: readonly FenceTarget[]): void {
    if (this.#cutId === id) return;
    this.#cutId = id;
    this.#cutOutcome = undefined;
    this.#takeCut(id, targets).then(
      (outcome) => {
        if (this.#cutId === id) this.#cutOutcome = outcome;
        // Observing the nodes again makes the alpha decide again.
        if (!this.#isClosed) for (const { node } of targets) this.#options.onActed(node);
      },
      (error: unknown) => {
        const why = errorText(error);
        if (this.#cutId === id) this.#cutOutcome = { id, kind: "void", why };
      },
    );
  }

  cutOutcome(): CutOutcome | undefined {
    return this.#cutOutcome;
  }

  acknowledgedAtMs(): ReadonlyMap<string, number> {
    const acknowledged = new Map<string, number>();
    for (const [node, { isBusy, acknowledgedAtMs }] of this.#handles) {
      if (!isBusy && acknowledgedAtMs !== null) acknowledged.set(node, acknowledgedAtMs);
    }
    return acknowledged;
  }

  pauses(): Pauses {
    return this.#pauses;
  }

  rescues(): RescueOutcomes {
    return this.#rescues;
  }

  close(): void {
    this.#isClosed = true;
    this.#cutLinks?.close();
    for (const { link } of this.#handles.values()) {
      link.then(
        (opened) => {
          opened.close();
        },
        () => undefined,
      );
    }
  }

  #handleOf(target: FenceTarget): NodeHandle {
    const known = this.#handles.get(target.node);
    if (known !== undefined) return known;
    const link = this.#open(target);
    const handle = {
      target,
      link,
      isBusy: false,
      doneAtMs: -1,
      acknowledgedAtMs: null,
      retryAtMs: 0,
    };
    this.#handles.set(target.node, handle);
    this.#noteFence(handle, link);
    return handle;
  }

  /** The caller that needs the link gets the error. If no caller needs it, fencing is tried again later. */
  #noteFence(handle: NodeHandle, link: Promise<RedisLink>): void {
    link.then(
      () => {
        handle.acknowledgedAtMs = this.#options.clock.nowMs();
        if (!this.#isClosed) this.#options.onActed(handle.target.node);
      },
      () => this.#handles.delete(handle.target.node),
    );
  }

  get #clientName(): string {
    return `twined:${this.#options.monitor}:${this.#options.epoch}`;
  }

  async #open(target: FenceTarget): Promise<RedisLink> {
    const { openLink, epoch, leaseMs, credentials, emit } = this.#options;
    const link = await openLink(target, {
      credentials,
      clientName: this.#clientName,
      connectTimeoutMs: leaseMs,
      commandTimeoutMs: 2 * leaseMs,
    });
    if (this.#isClosed) link.close();
    try {
      const closed = await closeOtherAlphas(link, epoch);
      if (closed > 0) emit("+fence", { node: target.node, links: closed });
      // Ends an earlier alpha's pause. This alpha pauses again where it needs to.
      if (this.#unknownPauses.has(target.node)) {
        await link.call("CLIENT", "UNPAUSE");
        this.#unknownPauses.delete(target.node);
        this.#pauses.delete(target.node);
      }
    } catch (error) {
      link.close();
      throw error;
    }
    return link;
  }

  async #openLinkOf(handle: NodeHandle): Promise<RedisLink> {
    const before = handle.link;
    const link = await before;
    if (link.isOpen) return link;
    // Another caller may have opened a new link meanwhile: use it.
    if (handle.link !== before) return this.#openLinkOf(handle);
    handle.link = this.#open(handle.target);
    this.#noteFence(handle, handle.link);
    return handle.link;
  }

  #start(action: Action): void {
    const { clock, emit, leaseMs } = this.#options;
    const handle = this.#handleOf(action);
    const isOld = action.askedAtMs <= handle.doneAtMs;
    if (handle.isBusy || isOld || clock.nowMs() < handle.retryAtMs) return;
    handle.isBusy = true;
    this.#carryOut(action, handle)
      .catch(async (error: unknown) => {
        handle.retryAtMs = clock.nowMs() + leaseMs / 5;
        await this.#abandon(handle, error);
        const why = errorText(error);
        if (!this.#isClosed) emit("-act", { node: action.node, action: action.kind, why });
      })
      .finally(() => {
        handle.isBusy = false;
      });
  }

  async #carryOut(action: Action, handle: NodeHandle): Promise<void> {
    const siblings = [...this.#handles.values()].filter(
      (other) => other.target.partition === action.partition,
    );
    await Promise.allSettled(siblings.map((other) => other.link));
    const link = await this.#openLinkOf(handle);
    if (this.#isClosed || !this.#options.mayAct()) return;
    const { clock, emit, rescuer } = this.#options;
    if (action.kind === "rescue" && rescuer !== undefined) {
      await this.#rescue(action, rescuer, link);
    } else {
      const order: Order = action.kind === "rescue" ? { ...action, kind: "step-down" } : action;
      if (this.#mayLeavePause(order)) this.#unknownPauses.add(order.node);
      await sendOrder(link, order, clock, this.#pauses);
      this.#unknownPauses.delete(order.node);
      emitOrder(emit, order);
    }
    handle.doneAtMs = clock.nowMs();
    handle.acknowledgedAtMs = handle.doneAtMs;
    this.#options.onActed(action.node);
  }

  /** The masters are busy meanwhile: the cut must not be confused with another pause, or its end. */
  async #takeCut(id: string, targets: readonly FenceTarget[]): Promise<CutOutcome> {
    const handles = targets.map((target) => this.#handleOf(target));
    const isBusy = handles.find((handle) => handle.isBusy);
    if (isBusy !== undefined) {
      return { id, kind: "void", why: `${isBusy.target.node} is being acted on` };
    }
    const { clock, emit, mayAct, quiet, rules } = this.#options;
    for (const handle of handles) handle.isBusy = true;
    try {
      const links = await this.#linksForCut(handles);
      quiet.begin();
      const taken = await takeUnheldCut(links, clock, rules, () => {
        if (this.#isClosed || !mayAct()) return false;
        for (const { node } of links) this.#unknownPauses.add(node);
        return true;
      });
      const stale = taken.kind === "void" ? taken.unanswered : [];
      for (const handle of handles) await this.#afterCut(handle, stale);
      if (taken.kind === "sampled") {
        emit("+cut", { pausedMs: Math.round(taken.cut.pausedMs) });
        return { id, kind: "sampled", cut: taken.cut };
      }
      emit("-cut", { why: taken.why });
      return { id, kind: "void", why: taken.why };
    } finally {
      quiet.end();
      for (const handle of handles) handle.isBusy = false;
    }
  }

  /** By partition. Opening the usual links fences the nodes. */
  async #linksForCut(handles: readonly NodeHandle[]): Promise<CutLink[]> {
    const usual = await Promise.all(handles.map((handle) => this.#openLinkOf(handle)));
    const targets = handles.map(({ target }) => target);
    if (this.#cutLinks !== undefined) return this.#cutLinks.of(targets);
    return usual.map((link, at) => ({ node: targets[at]?.node ?? "", link }));
  }

  /** A node that did not answer UNPAUSE is stale; it gets UNPAUSE again on its next link. */
  async #afterCut(handle: NodeHandle, stale: readonly string[]): Promise<void> {
    const { node } = handle.target;
    if (stale.includes(node)) {
      this.#cutLinks?.drop(node);
      await this.#abandon(handle, undefined);
      return;
    }
    this.#unknownPauses.delete(node);
    handle.acknowledgedAtMs = this.#options.clock.nowMs();
  }

  /** Whether the node may be (or stay) paused without a record in `#pauses` if this command gets no answer. */
  #mayLeavePause({ kind, node }: Order): boolean {
    const isPaused = this.#pauses.has(node);
    return kind === "pause" ? !isPaused : (kind === "unpause" || kind === "step-down") && isPaused;
  }

  /**
   * A failed rescue is recorded too: the view shows the result before the node is detached. While its writes are paused the
   * node executes none, so the file has everything up to the node's offset after the rescue. That offset may be higher than
   * the file's own: Redis sends its replicas a PING in the stream every ten seconds.
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
      const why = errorText(error);
      this.#rescues.set(node, { runId, place: null, why });
      emit("-rescue", { node, why });
    }
  }

  /**
   * After a failure. An error reply is an answer: nothing was executed, and the link works. Without an answer the command
   * may still be executed, by a node that resumes even after this link is closed here. So the node is stale until a new
   * link has closed this one at the node.
   */
  async #abandon(handle: NodeHandle, error: unknown): Promise<void> {
    if (isReply(error)) return;
    handle.acknowledgedAtMs = null;
    const link = await handle.link.catch(() => undefined);
    link?.close();
  }
}

/** The node's replication id and offset; undefined when it does not report them. */
async function historyMarkOf(link: RedisLink): Promise<HistoryMark | undefined> {
  const text = await link.call("INFO").catch(() => undefined);
  const info = typeof text === "string" ? parseInfo(text) : undefined;
  return info === undefined
    ? undefined
    : { replicationId: info.replicationId, offset: info.offset };
}

/** Whether the server replied with an error. ioredis uses this name. */
function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === "ReplyError";
}
