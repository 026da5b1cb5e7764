// follow.ts: follows the newest chosen view for a router or a client, and reports whether it is confirmed.
//
//   every lease/5, and at once after a PUBLISH --> read all status nodes --> newest body known to be chosen
//                                                                                |-- newer: take or fetch it, onChange
//                                                                                '-- count its holders: confirmed?
//
// A view is confirmed while a majority of the status nodes has returned exactly its body within the lease. The age of a
// reply counts from when its request was sent. read.ts defines when a body is known to be chosen. An accepted value stays
// accepted, so old replies prove it as well as new ones; only confirmations expire.
//
// Views never go back. Each node is polled on its own: a dead, slow or restarting node does not delay the others.
import { majorityOf, nodesOf } from "../core/cluster.ts";
import { registerKeys } from "../core/register-keys.ts";
import { readView } from "../core/parse-view.ts";
import { compareViews, type View } from "../core/view.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import { statusNodeLink, type StatusNodesOptions } from "./acceptors.ts";
import { ballotText } from "./ballot.ts";
import { holdsBody, newestChosen } from "./read.ts";
import { redisAcceptor } from "./redis-acceptor.ts";
import type { Accepted, Acceptor, AcceptorState, Ballot } from "./register.ts";
import type { ReconnectingLink } from "./reconnecting-link.ts";
import type { ViewSource } from "./view-source.ts";

export interface FollowOptions extends StatusNodesOptions {
  readonly log: Log;
}

/** Follows the view of `config`'s cluster from its status nodes. The default user is router. */
export function followView(options: FollowOptions): ViewSource {
  const { clock, log, config } = options;
  const { cluster, leaseMs } = config.settings;
  const as = { ...options, user: options.user ?? "router" } as const;
  const links: ReconnectingLink[] = [];
  const follower = new Follower(cluster, leaseMs, clock, log);
  for (const node of nodesOf(config, "status")) {
    const polled = statusNodeLink(node, as);
    const notified = statusNodeLink(node, as, async (link) => {
      await link.subscribe(registerKeys(cluster).channel, () => {
        follower.pollAll(true);
      });
      follower.pollAll();
    });
    links.push(polled, notified);
    follower.add(redisAcceptor(node.name, cluster, polled.pipeline));
    notified.open();
  }
  follower.start();
  return {
    current: () => follower.current,
    isConfirmed: () => follower.isConfirmed(),
    onChange: (task) => follower.onChange(task),
    close: () => {
      follower.stop();
      for (const link of links) link.close();
      return Promise.resolve();
    },
  };
}

interface FollowedNode {
  readonly acceptor: Acceptor;
  state: AcceptorState | undefined;
  /** When the request of `state`'s reply was sent. */
  askedAtMs: number;
  isAsked: boolean;
  /** Poll again as soon as the present reply arrives, because something has changed since. */
  isDue: boolean;
}

/** The followed view and the ballot that identifies its body. */
interface FollowedView {
  readonly view: View;
  readonly bodyBallot: Ballot;
}

/** Follows acceptors of any kind; followView gives it Redis acceptors. */
export class Follower {
  readonly #cluster: string;
  readonly #leaseMs: number;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #nodes: FollowedNode[] = [];
  readonly #listeners = new Set<() => void>();
  #followed: FollowedView | undefined;
  #wasConfirmed = false;
  /** Bodies that are being fetched. */
  readonly #seenBodies = new Set<string>();
  /** Bodies that could not be parsed, with their node. */
  readonly #unreadable = new Set<string>();
  #cancelPoll: () => void = () => undefined;
  #cancelExpiry: () => void = () => undefined;
  #isStopped = false;

  constructor(cluster: string, leaseMs: number, clock: Clock, log: Log) {
    this.#cluster = cluster;
    this.#leaseMs = leaseMs;
    this.#clock = clock;
    this.#log = log;
  }

  add(acceptor: Acceptor): void {
    const askedAtMs = -Infinity;
    this.#nodes.push({ acceptor, state: undefined, askedAtMs, isAsked: false, isDue: false });
  }

  start(): void {
    if (this.#isStopped) return;
    this.pollAll();
    this.#cancelPoll = this.#clock.after(this.#leaseMs / 5, () => {
      this.start();
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#listeners.clear();
    this.#cancelPoll();
    this.#cancelExpiry();
  }

  get current(): View | undefined {
    return this.#followed?.view;
  }

  isConfirmed(): boolean {
    return this.#clock.nowMs() <= this.#confirmedUntilMs();
  }

  onChange(task: () => void): () => void {
    // A separate listener for every caller, because two callers may pass the same function.
    const listener = (): void => {
      task();
    };
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** `isNews`: a new body was published. */
  pollAll(isNews = false): void {
    const withBody = isNews && this.#isAwaited();
    for (const node of this.#nodes) void this.#poll(node, withBody);
  }

  /** Clients wait for the next view: reading its body together with the state saves them a round. */
  #isAwaited(): boolean {
    const partitions = this.#followed?.view.partitions ?? [];
    return partitions.some(
      ({ master, handover }) => master === null || (handover ?? null) !== null,
    );
  }

  async #poll(node: FollowedNode, withBody: boolean): Promise<void> {
    node.isDue = node.isAsked;
    if (node.isAsked || this.#isStopped) return;
    node.isAsked = true;
    const askedAtMs = this.#clock.nowMs();
    try {
      node.state = await node.acceptor.read(withBody);
      node.askedAtMs = askedAtMs;
      this.#weigh();
    } catch (error) {
      this.#log.debug("status node silent", { node: node.acceptor.name, why: String(error) });
    } finally {
      node.isAsked = false;
    }
    if (node.isDue) await this.#poll(node, this.#isAwaited());
  }

  #weigh(): void {
    if (this.#isStopped) return;
    const states = this.#nodes.flatMap(({ state }) => (state === undefined ? [] : [state]));
    const newest = newestChosen(states, this.#nodes.length);
    const isNews =
      newest !== null &&
      (this.#followed === undefined || compareViews(newest.value, this.#followed.view) > 0);
    if (isNews && !this.#takeRead(newest)) void this.#fetch(newest);
    this.#notify(false);
  }

  /** False when no node's last reply has the body, or none that can be read. */
  #takeRead({ bodyBallot }: Accepted): boolean {
    const name = ballotText(bodyBallot);
    for (const { acceptor, state } of this.#nodes) {
      const body = state?.accepted?.value.body ?? null;
      if (body === null || state === undefined || !holdsBody(state, bodyBallot)) continue;
      if (this.#unreadable.has(`${name} ${acceptor.name}`)) continue;
      const view = this.#readable(body, acceptor.name, name);
      if (view === undefined) continue;
      this.#take(bodyBallot, view);
      return true;
    }
    return false;
  }

  /** Fetches the body from the first holder that still has it. If none has it, the next poll finds a newer one. */
  async #fetch({ bodyBallot }: Accepted): Promise<void> {
    const name = ballotText(bodyBallot);
    if (this.#seenBodies.has(name)) return;
    this.#seenBodies.add(name);
    for (const { acceptor, state } of this.#nodes) {
      if (state === undefined || !holdsBody(state, bodyBallot)) continue;
      if (this.#unreadable.has(`${name} ${acceptor.name}`)) continue;
      const answer = await acceptor.read(true).catch(() => undefined);
      if (answer === undefined || !holdsBody(answer, bodyBallot)) continue;
      const view = this.#readable(answer.accepted?.value.body ?? "", acceptor.name, name);
      if (view === undefined) continue;
      this.#seenBodies.delete(name);
      this.#take(bodyBallot, view);
      return;
    }
    // No node returned it: the next poll tries again.
    this.#seenBodies.delete(name);
  }

  /** If one node's body is malformed, another node's copy may be valid. */
  #readable(body: string, node: string, ballot: string): View | undefined {
    const parsed = readView(body);
    if (parsed.kind === "parsed" && parsed.value.cluster === this.#cluster) return parsed.value;
    const why =
      parsed.kind === "malformed" ? parsed.why : `it is cluster ${parsed.value.cluster}'s`;
    this.#log.error("the published view can't be read", { node, ballot, why });
    // It will not become readable on this node.
    this.#unreadable.add(`${ballot} ${node}`);
    return undefined;
  }

  #take(bodyBallot: Ballot, view: View): void {
    if (this.#isStopped) return;
    this.#unreadable.clear();
    if (this.#followed !== undefined && compareViews(view, this.#followed.view) <= 0) return;
    this.#followed = { view, bodyBallot };
    this.#notify(true);
  }

  /** The time at which the followed view stops being confirmed, unless new replies arrive. */
  #confirmedUntilMs(): number {
    const followed = this.#followed;
    if (followed === undefined) return -Infinity;
    const asked = this.#nodes
      .filter(({ state }) => state !== undefined && holdsBody(state, followed.bodyBallot))
      .map(({ askedAtMs }) => askedAtMs)
      .sort((a, b) => b - a);
    return (asked[majorityOf(this.#nodes.length) - 1] ?? -Infinity) + this.#leaseMs;
  }

  #notify(isNewView: boolean): void {
    const isConfirmed = this.isConfirmed();
    this.#cancelExpiry();
    if (isConfirmed) {
      const leftMs = this.#confirmedUntilMs() - this.#clock.nowMs();
      this.#cancelExpiry = this.#clock.after(Math.ceil(leftMs) + 1, () => {
        this.#notify(false);
      });
    }
    if (!isNewView && isConfirmed === this.#wasConfirmed) return;
    this.#wasConfirmed = isConfirmed;
    for (const listener of [...this.#listeners]) listener();
  }
}
