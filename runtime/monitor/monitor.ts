// monitor.ts: one twined: watches the register until it may lead, leads until it must give way, and over again.
// The rules are in decide/, what is seen in observe/, what is done in act/; this file is only the order of things.
import { nodesOf, type ClusterConfig } from "../core/cluster.ts";
import { credentialsOf } from "../core/credentials.ts";
import { confDigest } from "../core/conf/digest.ts";
import type { View } from "../core/view.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { Random } from "../ports/random.ts";
import type { OpenLink } from "../ports/redis-link.ts";
import { createProposer } from "../register/proposer.ts";
import { readRegister } from "../register/read.ts";
import type { Acceptor } from "../register/register.ts";
import { createEmit } from "./emit.ts";
import { runForAlpha, type Candidacy } from "./candidacy.ts";
import { hashingClash } from "./decide/adopt-conf.ts";
import type { Board } from "./observe/board.ts";
import { createObserver } from "./observe/observer.ts";
import { probeTcp, type Probe } from "./observe/tcp-probe.ts";
import type { Term } from "./term.ts";
import { createTicker } from "./ticker.ts";

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
}

export interface MonitorHealth {
  readonly ok: boolean;
  readonly why: string;
  /** The alpha as this monitor knows it; null before the first view. */
  readonly alpha: string | null;
  readonly isAlpha: boolean;
  readonly epoch: number;
}

export interface Monitor {
  health(): MonitorHealth;
  /** Whether this monitor leads with a standing lease, or sees another renew it. */
  isAlphaAlive(): boolean;
  /** The view this monitor leads with, or the last that it read. */
  view(): View | null;
  /** Takes a changed twine.conf. Answers why it is refused, or undefined. */
  reload(config: ClusterConfig): string | undefined;
  stop(): Promise<void>;
}

export function startMonitor(options: MonitorOptions): Monitor {
  const { name, clock, log } = options;
  let config = options.config;
  let digest = confDigest(config);
  const emit = createEmit(log);
  const credentials = credentialsOf("monitor", options.password);
  const proposer = createProposer({
    name,
    cluster: config.settings.cluster,
    acceptors: options.acceptors,
    random: options.random,
    clock,
  });
  const troubles = new Map<string, string>();
  const observer = createObserver({
    name,
    run: `${clock.wallTime()} ${options.random.next()}`,
    config: () => config,
    confDigest: () => digest,
    credentials,
    clock,
    openLink: options.openLink,
    acceptors: options.acceptors,
    board: options.board,
    probe: options.probe ?? probeTcp,
    emit,
    onNews: () => {
      ticker.wake();
    },
    onTrouble: (what, error) => {
      const why = error instanceof Error ? error.message : String(error);
      // The same trouble again and again is one line.
      if (troubles.get(what) !== why) log.warn(`${what}: ${why}`);
      troubles.set(what, why);
    },
  });
  const candidacy: Candidacy = runForAlpha({
    name,
    config: () => config,
    confDigest: () => digest,
    credentials,
    clock,
    random: options.random,
    openLink: options.openLink,
    proposer,
    observer,
    board: options.board,
    emit,
    log,
    read: (withBody) => readRegister(options.acceptors, config.settings.cluster, { withBody }),
  });
  let term: Term | undefined;

  const tick = async (): Promise<void> => {
    if (term === undefined) {
      term = await candidacy.tick();
      return;
    }
    const over = await term.tick();
    if (over !== undefined) {
      emit("-alpha", { epoch: term.epoch, why: over });
      term.end();
      term = undefined;
      candidacy.restart();
    } else if (term.isRestless()) ticker.wake();
  };
  const ticker = createTicker({
    clock,
    everyMs: () => config.settings.leaseMs / 5,
    tick,
    onError: (error) => {
      log.error("a tick failed", { why: error instanceof Error ? error.stack : String(error) });
    },
  });

  const view = (): View | null => term?.view() ?? candidacy.view();
  return {
    view,
    isAlphaAlive: () => term?.holdsLease() ?? candidacy.isAlphaAlive(),
    health: () => {
      const known = view();
      const why = !ticker.isTicking(10 * config.settings.leaseMs)
        ? "the loop does not tick"
        : term === undefined
          ? candidacy.trouble()
          : term.holdsLease()
            ? ""
            : "the lease ran out";
      const { alpha, epoch } = known ?? { alpha: null, epoch: 0 };
      return { ok: why === "", why, alpha, isAlpha: term !== undefined, epoch };
    },
    reload: (changed) => {
      const why = reloadClash(config, changed, view());
      if (why !== undefined) {
        emit("-conf", { refused: true, why });
        return why;
      }
      config = changed;
      digest = confDigest(changed);
      observer.reload();
      ticker.wake();
      return undefined;
    },
    stop: async () => {
      await ticker.stop();
      if (term !== undefined) emit("-alpha", { epoch: term.epoch, why: "stopped" });
      term?.end();
      observer.stop();
    },
  };
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
