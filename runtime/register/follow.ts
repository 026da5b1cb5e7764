// follow.ts: keeps the newest chosen view for a router or a client, and says how far it may be trusted.
//
//   every lease/5, and at once when a node PUBLISHes --> read all status nodes --> newest body known to be chosen
//                                                                                    |-- newer: fetch it, onChange
//                                                                                    '-- count who holds it: confirmed?
//
// A view is confirmed while a majority of the status nodes held exactly its body when last asked, within the lease; an
// answer counts from when its question was sent. read.ts says when a body is known to be chosen. What a node was once
// seen to have accepted it did accept, so old answers prove that as well as new ones; only confirmations grow old.
// Views never go back. Every node is asked on its own: dead, slow and restarting ones hold up nobody.
import { majorityOf, nodesOf } from "../core/cluster.ts";
import { registerKeys } from "../core/register-keys.ts";
import { compareViews, type View } from "../core/view.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import { statusNodeLink, type StatusNodesOptions } from "./acceptors.ts";
import { ballotText } from "./ballot.ts";
import { holdsBody, newestChosen } from "./read.ts";
import { redisAcceptor } from "./redis-acceptor.ts";
import type { Accepted, Acceptor, AcceptorState, Ballot } from "./register.ts";
import type { StandingLink } from "./standing-link.ts";
import type { ViewSource } from "./view-source.ts";

export interface FollowOptions extends StatusNodesOptions {
  readonly log: Log;
}

/** Follows the view of `config`'s cluster from its status nodes, as the user router unless told otherwise. */
export function followView(options: FollowOptions): ViewSource {
  const { clock, log, config } = options;
  const { cluster, leaseMs } = config.settings;
  const as = { ...options, user: options.user ?? "router" } as const;
  const links: StandingLink[] = [];
  const follower = new Follower(cluster, leaseMs, clock, log);
  for (const node of nodesOf(config, "status")) {
    const polled = statusNodeLink(node, as);
    const told = statusNodeLink(node, as, async (link) => {
      await link.subscribe(registerKeys(cluster).channel, () => {
        follower.pollAll();
      });
      follower.pollAll();
    });
    links.push(polled, told);
    follower.add(redisAcceptor(node.name, cluster, polled.pipeline));
    told.open();
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

interface Followed {
  readonly acceptor: Acceptor;
  state: AcceptorState | undefined;
  /** When the question was sent that `state` answers. */
  askedAtMs: number;
  isAsked: boolean;
  /** Ask again as soon as the answer under way is there: something happened since. */
  isDue: boolean;
}

/** The followed view and the ballot that names its body. */
interface Held {
  readonly view: View;
  readonly bodyBallot: Ballot;
}

/** Follows acceptors of any make; followView gives it those of Redis. */
export class Follower {
  readonly #cluster: string;
  readonly #leaseMs: number;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #nodes: Followed[] = [];
  readonly #listeners = new Set<() => void>();
  #held: Held | undefined;
  #wasConfirmed = false;
  /** Bodies being fetched, or found unreadable: not to be fetched again. */
  readonly #seenBodies = new Set<string>();
  #forgetPoll: () => void = () => undefined;
  #forgetExpiry: () => void = () => undefined;
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
    this.#forgetPoll = this.#clock.after(this.#leaseMs / 5, () => {
      this.start();
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#listeners.clear();
    this.#forgetPoll();
    this.#forgetExpiry();
  }

  get current(): View | undefined {
    return this.#held?.view;
  }

  isConfirmed(): boolean {
    return this.#clock.nowMs() <= this.#confirmedUntilMs();
  }

  onChange(task: () => void): () => void {
    // A listener of its own for every caller, though two may bring the same function.
    const listener = (): void => {
      task();
    };
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  pollAll(): void {
    for (const node of this.#nodes) void this.#poll(node);
  }

  async #poll(node: Followed): Promise<void> {
    node.isDue = node.isAsked;
    if (node.isAsked || this.#isStopped) return;
    node.isAsked = true;
    const askedAtMs = this.#clock.nowMs();
    try {
      node.state = await node.acceptor.read(false);
      node.askedAtMs = askedAtMs;
      this.#weigh();
    } catch (error) {
      this.#log.debug("status node silent", { node: node.acceptor.name, why: String(error) });
    } finally {
      node.isAsked = false;
    }
    if (node.isDue) await this.#poll(node);
  }

  #weigh(): void {
    if (this.#isStopped) return;
    const states = this.#nodes.flatMap(({ state }) => (state === undefined ? [] : [state]));
    const newest = newestChosen(states, this.#nodes.length);
    const isNews =
      newest !== null &&
      (this.#held === undefined || compareViews(newest.value, this.#held.view) > 0);
    if (isNews) void this.#fetch(newest);
    this.#tell(false);
  }

  /** From the first holder that still has it. When none has, the next poll finds what came after. */
  async #fetch({ bodyBallot }: Accepted): Promise<void> {
    const name = ballotText(bodyBallot);
    if (this.#seenBodies.has(name)) return;
    this.#seenBodies.add(name);
    for (const { acceptor, state } of this.#nodes) {
      if (state === undefined || !holdsBody(state, bodyBallot)) continue;
      const answer = await acceptor.read(true).catch(() => undefined);
      if (answer === undefined || !holdsBody(answer, bodyBallot)) continue;
      this.#take(bodyBallot, answer.accepted?.value.body ?? "");
      return;
    }
    this.#seenBodies.delete(name);
  }

  #take(bodyBallot: Ballot, body: string): void {
    const view = viewOf(body, this.#cluster);
    if (view === undefined) {
      // Stays among the seen ones: it will not become readable.
      this.#log.error("the published view can't be read", { ballot: ballotText(bodyBallot) });
      return;
    }
    this.#seenBodies.delete(ballotText(bodyBallot));
    if (this.#isStopped) return;
    if (this.#held !== undefined && compareViews(view, this.#held.view) <= 0) return;
    this.#held = { view, bodyBallot };
    this.#tell(true);
  }

  /** The moment at which too few recent answers will hold the view. */
  #confirmedUntilMs(): number {
    const held = this.#held;
    if (held === undefined) return -Infinity;
    const asked = this.#nodes
      .filter(({ state }) => state !== undefined && holdsBody(state, held.bodyBallot))
      .map(({ askedAtMs }) => askedAtMs)
      .sort((a, b) => b - a);
    return (asked[majorityOf(this.#nodes.length) - 1] ?? -Infinity) + this.#leaseMs;
  }

  #tell(isNewView: boolean): void {
    const isConfirmed = this.isConfirmed();
    this.#forgetExpiry();
    if (isConfirmed) {
      const leftMs = this.#confirmedUntilMs() - this.#clock.nowMs();
      this.#forgetExpiry = this.#clock.after(Math.ceil(leftMs) + 1, () => {
        this.#tell(false);
      });
    }
    if (!isNewView && isConfirmed === this.#wasConfirmed) return;
    this.#wasConfirmed = isConfirmed;
    for (const listener of [...this.#listeners]) listener();
  }
}

/** undefined when the body is not a view of this cluster. */
function viewOf(body: string, cluster: string): View | undefined {
  try {
    const view = JSON.parse(body) as Partial<View> | null;
    const isView =
      view?.cluster === cluster &&
      Number.isSafeInteger(view.epoch) &&
      Number.isSafeInteger(view.revision) &&
      Array.isArray(view.partitions) &&
      Array.isArray(view.nodes);
    return isView ? (view as View) : undefined;
  } catch {
    return undefined;
  }
}
