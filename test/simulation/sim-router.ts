// sim-router.ts: a router and its clients: writes numbers by the rules that production's router keeps.
//
//   1. Only a view that a majority of the status nodes has confirmed within the lease is acted on.
//   2. No master, or one that is suspended: the write is held, that is, not sent.
//   3. MASTERDOWN, READONLY, LOADING: not executed. Anything else that goes wrong: unknown, never acknowledged.
//   4. With ack-replicas k a WAIT follows each batch; fewer than k: not acknowledged.
// The view is followed by production's own Follower and guardedView.
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import { addressOf, nodesOf } from "../../runtime/core/cluster.ts";
import { builtinHashing } from "../../runtime/core/hashing.ts";
import { takesWrites, type View } from "../../runtime/core/view.ts";
import type { Clock } from "../../runtime/ports/clock.ts";
import { silentLog } from "../../runtime/ports/log.ts";
import type { OpenLink, RedisLink } from "../../runtime/ports/redis-link.ts";
import { Follower } from "../../runtime/register/follow.ts";
import type { Acceptor } from "../../runtime/register/register.ts";
import { guardedView, type GuardedView } from "../../runtime/register/guarded-view.ts";
import type { SeededRandom } from "../support/seeded-random.ts";
import type { Checks } from "./checks.ts";

export interface SimRouterOptions {
  readonly name: string;
  readonly config: ClusterConfig;
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly openLink: OpenLink;
  readonly acceptors: readonly Acceptor[];
  readonly checks: Checks;
  readonly nextWrite: () => number;
  readonly pauseMs: number;
  readonly mayWrite: () => boolean;
  readonly ignoresLease: boolean;
  readonly ignoresSuspension: boolean;
}

export class SimRouter {
  readonly #options: SimRouterOptions;
  readonly #follower: Follower;
  readonly #view: GuardedView;
  readonly #links = new Map<string, Promise<RedisLink>>();
  #followed: View | undefined;

  constructor(options: SimRouterOptions) {
    this.#options = options;
    const { config, clock, acceptors } = options;
    const { cluster, leaseMs } = config.settings;
    const follower = new Follower(cluster, leaseMs, clock, silentLog);
    for (const acceptor of acceptors) follower.add(acceptor);
    this.#follower = follower;
    this.#view = guardedView(
      {
        current: () => follower.current,
        isConfirmed: () => follower.isConfirmed(),
        onChange: (task) => follower.onChange(task),
        close: () => Promise.resolve(),
      },
      config,
      builtinHashing(config.settings),
    );
    this.#view.onChange(() => {
      this.#note();
    });
    follower.start();
    void this.#goOn();
  }

  /** A status node has PUBLISHed. */
  reported(): void {
    this.#follower.pollAll();
  }

  #note(): void {
    const view = this.#view.current();
    if (view === undefined || view === this.#followed) return;
    this.#options.checks.followed(this.#options.name, this.#followed, view);
    this.#followed = view;
  }

  async #goOn(): Promise<void> {
    const { clock, random, pauseMs, config, mayWrite } = this.#options;
    for (;;) {
      await clock.delay(pauseMs * 2 * random.next());
      const partition = random.below(config.settings.partitions);
      // Not awaited: clients don't wait for one another.
      if (mayWrite()) void this.#write(partition, 1 + random.below(4)).catch(() => undefined);
    }
  }

  #masterOf(partition: number): string | undefined {
    if (!this.#view.isConfirmed() && !this.#options.ignoresLease) return undefined;
    const view = this.#view.current();
    if (!takesWrites(view, partition) && !this.#options.ignoresSuspension) return undefined;
    return view?.partitions[partition]?.master ?? undefined;
  }

  async #write(partition: number, count: number): Promise<void> {
    const { checks, config, nextWrite } = this.#options;
    const { ackReplicas, ackTimeoutMs } = config.settings;
    const master = this.#masterOf(partition);
    if (master === undefined) return;
    const link = await this.#linkTo(master);
    // Time has passed: what was true before the connection stood may not be now.
    if (this.#masterOf(partition) !== master) return;
    const writes = Array.from({ length: count }, nextWrite);
    for (const write of writes) checks.sent(write);
    const answers = [link.call("WRITE", ...writes)];
    if (ackReplicas > 0) answers.push(link.call("WAIT", ackReplicas, ackTimeoutMs));
    const [, held = 0] = await Promise.all(answers);
    if (Number(held) >= ackReplicas) checks.acknowledge(partition, writes);
  }

  async #linkTo(name: string): Promise<RedisLink> {
    const known = await this.#links.get(name)?.catch(() => undefined);
    if (known?.isOpen === true) return known;
    const { config, openLink } = this.#options;
    const node = nodesOf(config, "data").find((each) => each.name === name);
    if (node === undefined) throw new Error(`the view's master ${name} is not in twine.conf`);
    const opening = openLink(
      { host: addressOf(node.host), port: node.port },
      { clientName: "twine-router", connectTimeoutMs: 1000 },
    );
    this.#links.set(name, opening);
    return opening;
  }
}
