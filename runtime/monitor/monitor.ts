// monitor.ts: one twined: watches the register until it may lead, leads until it must give way, and over again.
// The rules are in decide/, what is seen in observe/, what is done in act/; this file is only the order of things.
import { nodesOf, type ClusterConfig } from "../core/cluster.ts";
import { credentialsOf } from "../core/credentials.ts";
import { hashingClash } from "../core/hashing.ts";
import { confDigest } from "../core/conf/digest.ts";
import type { View } from "../core/view.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { Random } from "../ports/random.ts";
import type { OpenLink } from "../ports/redis-link.ts";
import { createProposer } from "../register/proposer.ts";
import { readRegister } from "../register/read.ts";
import type { Acceptor } from "../register/register.ts";
import type { Rescuer } from "./act/rescue.ts";
import type { Rules } from "./decide/rules.ts";
import { createEmit, type Emit } from "./emit.ts";
import { runForAlpha, type Candidacy } from "./candidacy.ts";
import { createMembership, type Membership } from "./membership.ts";
import { askMonitorByHttp, type AskMonitor } from "./observe/ask-monitor.ts";
import type { Board } from "./observe/board.ts";
import { createObserver, type Observer } from "./observe/observer.ts";
import { probeTcp, type Probe } from "./observe/tcp-probe.ts";
import type { Term } from "./term.ts";
import { createTicker, type Ticker } from "./ticker.ts";

export interface MonitorOptions {
  /** A monitor of `config`. */
  readonly name: string;
  /** As completed. */
  readonly config: ClusterConfig;
  readonly password: string | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly openLink: OpenLink;
  readonly acceptors: readonly Acceptor[];
  readonly board: Board;
  readonly probe?: Probe;
  readonly askMonitor?: AskMonitor;
  /** Saves what a rogue master alone has; absent: such a master is detached without that. */
  readonly rescuer?: Rescuer;
  /** What it judges by; absent: the rules that hold. */
  readonly rules?: Rules;
}

export interface MonitorHealth {
  readonly ok: boolean;
  readonly why: string;
  /** This monitor. */
  readonly name: string;
  /** Says which process it is: no two runs share it. */
  readonly run: string;
  /** The alpha as this monitor knows it; null before the first view. */
  readonly alpha: string | null;
  readonly isAlpha: boolean;
  readonly epoch: number;
}

export interface Monitor {
  health(): MonitorHealth;
  /** Whether this monitor leads with a standing lease, or sees another renew it. */
  isAlphaAlive(): boolean;
  /** The view this monitor leads with, or the last that it read of its own cluster. */
  view(): View | null;
  /** All that INFO tells of a data node, as text; rejects when it can't be asked. */
  detailsOf(node: string): Promise<string>;
  /** Tells what happened beside the monitor in its process, as its own events: to the log and on the status nodes. */
  readonly emit: Emit;
  /** Takes a changed twine.conf. Answers why it is refused, or undefined. */
  reload(config: ClusterConfig): string | undefined;
  stop(): Promise<void>;
}

export function startMonitor(options: MonitorOptions): Monitor {
  return new RunningMonitor(options);
}

class RunningMonitor implements Monitor {
  readonly #options: MonitorOptions;
  readonly emit: Emit;
  readonly #run: string;
  readonly #membership: Membership;
  readonly #observer: Observer;
  readonly #candidacy: Candidacy;
  readonly #ticker: Ticker;
  readonly #troubles = new Map<string, string>();
  #config: ClusterConfig;
  #digest: string;
  #term: Term | undefined;

  constructor(options: MonitorOptions) {
    this.#options = options;
    this.#config = options.config;
    this.#digest = confDigest(options.config);
    this.emit = createEmit(options.log, (event, fields) => {
      const { name: monitor, clock, board } = options;
      // Whoever listens takes every monitor there for one of the cluster's.
      if (!this.#membership.isMember()) return;
      const told = { monitor, event, at: clock.wallTime(), ...fields };
      // The log has it; a status node that is away misses it.
      board.publishEvent(JSON.stringify(told)).catch(() => undefined);
    });
    this.#run = `${options.clock.wallTime()} ${options.random.next()}`;
    this.#membership = createMembership({
      name: options.name,
      run: this.#run,
      config: () => this.#config,
      clock: options.clock,
      askMonitor: options.askMonitor ?? askMonitorByHttp,
      emit: this.emit,
    });
    this.#observer = this.#createObserver();
    this.#candidacy = this.#createCandidacy();
    this.#ticker = createTicker({
      clock: options.clock,
      everyMs: () => this.#config.settings.leaseMs / 5,
      tick: () => this.#tick(),
      onError: (error) => {
        const why = error instanceof Error ? error.stack : String(error);
        this.emit("-tick", { why });
      },
    });
  }

  view(): View | null {
    if (this.#membership.isStranger()) return null;
    return this.#term?.view() ?? this.#candidacy.view();
  }

  detailsOf(node: string): Promise<string> {
    return this.#observer.details(node);
  }

  isAlphaAlive(): boolean {
    if (this.#membership.isStranger()) return false;
    return this.#term?.holdsLease() ?? this.#candidacy.isAlphaAlive();
  }

  health(): MonitorHealth {
    const why = this.#trouble();
    const { name } = this.#options;
    const { alpha, epoch } = this.view() ?? { alpha: null, epoch: 0 };
    const isAlpha = this.#term !== undefined;
    return { ok: why === "", why, name, run: this.#run, alpha, isAlpha, epoch };
  }

  reload(config: ClusterConfig): string | undefined {
    const why = reloadClash(this.#config, config, this.view());
    if (why !== undefined) {
      this.emit("-conf", { refused: true, why });
      return why;
    }
    this.#config = config;
    this.#digest = confDigest(config);
    this.#observer.reload();
    this.#ticker.wake();
    return undefined;
  }

  async stop(): Promise<void> {
    await this.#ticker.stop();
    if (this.#term !== undefined) {
      // The cluster may be on its way down: what its masters hold now is the evidence when they come back.
      await this.#observer.recordNow().catch((error: unknown) => {
        this.emit("-task", { task: "last record", why: String(error) });
      });
      this.emit("-alpha", { epoch: this.#term.epoch, why: "stopped" });
    }
    this.#term?.end();
    this.#observer.stop();
  }

  async #tick(): Promise<void> {
    const term = this.#term;
    if (term === undefined) {
      this.#term = await this.#candidacy.tick();
      return;
    }
    this.#membership.judge(term.view());
    const keepsOut = this.#membership.keepsOutBecause();
    const over = keepsOut === "" ? await term.tick() : keepsOut;
    if (over !== undefined) {
      this.emit("-alpha", { epoch: term.epoch, why: over });
      const trouble = this.#trouble();
      term.end();
      this.#term = undefined;
      this.#candidacy.restart(trouble);
    } else if (term.isRestless()) this.#ticker.wake();
  }

  #trouble(): string {
    if (!this.#ticker.isTicking(10 * this.#config.settings.leaseMs))
      return "the loop does not tick";
    const keepsOut = this.#membership.keepsOutBecause();
    if (keepsOut !== "") return keepsOut;
    if (this.#term === undefined) return this.#candidacy.trouble();
    return this.#term.holdsLease() ? "" : "the lease ran out";
  }

  #ports() {
    const { name, password, clock, openLink, board } = this.#options;
    return {
      name,
      credentials: credentialsOf("monitor", password),
      clock,
      openLink,
      board,
      emit: this.emit,
      config: () => this.#config,
      confDigest: () => this.#digest,
    };
  }

  #createObserver(): Observer {
    const { acceptors, probe } = this.#options;
    return createObserver({
      ...this.#ports(),
      run: this.#run,
      isMember: () => this.#membership.isMember(),
      acceptors,
      probe: probe ?? probeTcp,
      onNews: () => {
        this.#ticker.wake();
      },
      onTrouble: (what, error) => {
        const why = error instanceof Error ? error.message : String(error);
        // The same trouble again and again is one line.
        if (this.#troubles.get(what) !== why) this.emit("-task", { task: what, why });
        this.#troubles.set(what, why);
      },
    });
  }

  #createCandidacy(): Candidacy {
    const { name, clock, random, acceptors, rules } = this.#options;
    const { cluster } = this.#config.settings;
    return runForAlpha({
      ...this.#ports(),
      random,
      membership: this.#membership,
      rescuer: this.#options.rescuer,
      rules,
      proposer: createProposer({
        name,
        cluster,
        acceptors,
        random,
        clock,
        ...(rules === undefined ? {} : { quorumOf: rules.quorumOf }),
      }),
      observer: this.#observer,
      read: (withBody) => readRegister(acceptors, cluster, { withBody }),
    });
  }
}

/** What a running monitor can't take over from a changed twine.conf: it needs the whole cluster to be restarted, or
    is impossible while the data lives. */
function reloadClash(
  present: ClusterConfig,
  changed: ClusterConfig,
  view: View | null,
): string | undefined {
  if (present.settings.cluster !== changed.settings.cluster) {
    return `the cluster is named ${present.settings.cluster} and the new twine.conf says ${changed.settings.cluster}`;
  }
  const places = (config: ClusterConfig): string =>
    nodesOf(config, "status")
      .map(({ name, host, port, db }) => `${name} ${host}:${port}/${db}`)
      .join(", ");
  if (places(present) !== places(changed)) {
    return `the status nodes are ${places(present)} and the new twine.conf says ${places(changed)}: stop the cluster to change them`;
  }
  return view === null ? undefined : hashingClash(view, changed);
}
