// observer.ts: all observations of one monitor, collected in the background and returned as plain data.
//
//   watches (one per data node)  ─┐
//   shared hashes (peers, requests)├─> observations() -> decide
//   status nodes, routers        ─┘
//
// A monitor that does not lead only checks that data nodes answer, and writes its report. As alpha it asks for INFO, reads
// the shared hashes, and checks status nodes and routers. No task waits for another, so a node that hangs delays none.
import { addressOf, nodesOf, type ClusterConfig } from "../../core/cluster.ts";
import type { Credentials } from "../../core/credentials.ts";
import type { NodeView, View } from "../../core/view.ts";
import type { Clock } from "../../ports/clock.ts";
import { startPeriodicTask, type PeriodicTask } from "../../ports/periodic-task.ts";
import type { OpenLink } from "../../ports/redis-link.ts";
import type { Acceptor } from "../../register/register.ts";
import type { Observations, NodeObservation } from "../decide/nodes/observations.ts";
import { isCutOff, suspectsOf } from "../decide/nodes/node-health.ts";
import type { Emit } from "../emit.ts";
import type { Quiet } from "../quiet.ts";
import type { SharedHashes } from "./shared-hashes.ts";
import { AlphaProbes } from "./alpha-probes.ts";
import type { PeerReport } from "./peer-reports.ts";
import { SettingsWatch } from "./settings-watch.ts";
import { watchNode, type NodeWatch } from "./node-watch.ts";
import { pendingNodes } from "./pace.ts";
import type { Probe } from "./tcp-probe.ts";

export interface ObserverOptions {
  readonly name: string;
  /** Identifies this process of the monitor; unique. */
  readonly run: string;
  readonly config: () => ClusterConfig;
  readonly confDigest: () => string;
  readonly credentials: Credentials | undefined;
  readonly clock: Clock;
  readonly openLink: OpenLink;
  readonly acceptors: readonly Acceptor[];
  readonly hashes: SharedHashes;
  readonly probe: Probe;
  /** Whether this monitor may write its report for the others. */
  readonly isMember: () => boolean;
  readonly emit: Emit;
  readonly quiet: Quiet;
  /** Called when a decision should not wait for the next tick. */
  readonly onNews: () => void;
  /** Called when a background task failed with an error that it does not handle. */
  readonly onTrouble: (what: string, error: unknown) => void;
}

export interface Observer {
  observations(): Observations;
  /** `view`: the alpha's view, whose nodes are watched closely, pending ones most; null: this monitor does not lead. */
  lead(view: View | null): void;
  /** Whether most data nodes are silent to this monitor. */
  isCutOff(): boolean;
  /** Asks this node now. */
  trigger(node: string): void;
  /** Applies a changed twine.conf. */
  reload(): void;
  /** As alpha: asks every data node again and records masters and replicas in sync; takes half a second at most. */
  recordNow(): Promise<void>;
  /** INFO all of a data node, as text; rejects when it can't be asked (node-watch.ts). */
  details(node: string): Promise<string>;
  /** The request is answered: don't decide it again, even if the shared hashes still have an older copy. */
  forgetRequest(id: string): void;
  stop(): void;
}

/** A changed line takes effect when a person restarts nodes, so this is not urgent. */
const SETTINGS_EVERY_MS = 5000;

/** A monitor that stops must not wait long for a node that hangs. */
const RECORD_WAIT_MS = 500;

type WatchedNode = Pick<NodeView, "name" | "host" | "port">;

export function createObserver(options: ObserverOptions): Observer {
  return new BackgroundObserver(options);
}

class BackgroundObserver implements Observer {
  readonly #options: ObserverOptions;
  readonly #watches = new Map<string, NodeWatch>();
  readonly #probes: AlphaProbes;
  readonly #reporting: PeriodicTask;
  readonly #settingsWatch: SettingsWatch;
  readonly #settingsLook: PeriodicTask;
  #suspects: ReadonlySet<string> = new Set();
  /** Since when most data nodes are silent; null while they are not. */
  #cutOffSinceMs: number | null = null;
  #leading: View | null = null;
  #pending: ReadonlySet<string> = new Set();
  #sequence = 0;

  constructor(options: ObserverOptions) {
    this.#options = options;
    const { clock, onTrouble } = options;
    this.#probes = new AlphaProbes({
      ...options,
      suspects: () => this.#suspects,
      infoOf: (name) => this.#watches.get(name)?.observation().info ?? null,
    });
    this.#settingsWatch = new SettingsWatch(options.config);
    this.#settingsLook = startPeriodicTask({
      clock,
      restMs: () => SETTINGS_EVERY_MS,
      run: () => this.#lookAtSettings(),
      onError: (error) => {
        onTrouble("settings", error);
      },
    });
    this.#syncWatches();
    // A report that changes shows that the monitor is alive. A new monitor writes its first ones soon.
    const reportEveryMs = (): number =>
      this.#settings.leaseMs / (this.#sequence === 0 ? 25 : this.#sequence < 5 ? 5 : 1);
    this.#reporting = startPeriodicTask({
      clock,
      restMs: reportEveryMs,
      run: () => this.#writeReport(),
      onError: (error) => {
        onTrouble("report", error);
      },
    });
  }

  get #settings(): ClusterConfig["settings"] {
    return this.#options.config().settings;
  }

  observations(): Observations {
    const data = this.#nodeObservations();
    const sinceMs = this.#cutOffSinceMs;
    const cutOffForMs =
      sinceMs === null || !isCutOff(data) ? 0 : this.#options.clock.nowMs() - sinceMs;
    return { data, cutOffForMs, ...this.#probes.observed() };
  }

  isCutOff(): boolean {
    return this.#cutOffSinceMs !== null;
  }

  lead(view: View | null): void {
    const isNew = this.#leading === null && view !== null;
    this.#leading = view;
    const before = this.#pending;
    this.#pending = view === null ? new Set() : pendingNodes(view, this.#nodeObservations());
    this.#syncWatches();
    this.#probes.lead(view);
    // A node that was in order is asked rarely; its present state is needed for the next step.
    for (const name of this.#pending) if (!before.has(name)) this.trigger(name);
    if (isNew) {
      for (const watch of this.#watches.values()) watch.refresh();
      this.#settingsWatch.forget();
    }
  }

  trigger(node: string): void {
    this.#watches.get(node)?.trigger();
  }

  reload(): void {
    this.#syncWatches();
    this.#noteSuspects();
    this.#reporting.trigger();
  }

  forgetRequest(id: string): void {
    this.#probes.forgetRequest(id);
  }

  async recordNow(): Promise<void> {
    const { clock } = this.#options;
    const masters = (this.#leading?.partitions ?? []).flatMap(({ master }) => master ?? []);
    for (const watch of this.#watches.values()) watch.refresh();
    const isAsked = (name: string): boolean => this.#watches.get(name)?.observation().info !== null;
    const endMs = clock.nowMs() + RECORD_WAIT_MS;
    while (!masters.every(isAsked) && clock.nowMs() < endMs) await clock.delay(10);
    await this.#probes.record();
  }

  async details(node: string): Promise<string> {
    const watch = this.#watches.get(node);
    if (watch === undefined) throw new Error(`${node} is not watched`);
    return watch.details();
  }

  stop(): void {
    void this.#reporting.stop();
    void this.#settingsLook.stop();
    this.#probes.stop();
    for (const watch of this.#watches.values()) watch.close();
  }

  #nodeObservations(): Map<string, NodeObservation> {
    return new Map(
      [...this.#watches].map(([name, watch]) => {
        const otherSettings = this.#settingsWatch.of(name);
        const seen = watch.observation();
        return [name, otherSettings === undefined ? seen : { ...seen, otherSettings }];
      }),
    );
  }

  /** Only as alpha, because another monitor may have another twine.conf. */
  async #lookAtSettings(): Promise<void> {
    if (this.#leading === null) return;
    const answering = [...this.#watches].filter(([, watch]) => watch.observation().reach === "up");
    await this.#settingsWatch.look(new Map(answering));
  }

  #noteSuspects(): void {
    this.#listenAnew();
    const before = this.#suspects;
    // A node in its second chance has not answered yet, so it stays suspect.
    const waited = [...before].filter((name) => this.#watches.get(name)?.isListeningAnew());
    const now = new Set([...suspectsOf(this.#nodeObservations()), ...waited]);
    const begun = [...now].filter((name) => !before.has(name));
    const ended = [...before].filter((name) => !now.has(name));
    this.#suspects = now;
    for (const node of begun) this.#options.emit("+suspect", { node });
    for (const node of ended) this.#options.emit("-suspect", { node });
    if (begun.length > 0) this.#probes.hurry();
    if (begun.length + ended.length > 0) this.#reporting.trigger();
  }

  /**
   * A node that became silent while this monitor was cut off may be in order, and its host the last to be reachable again.
   * If that counted as silence, running masters would be failed over. So nodes that are still silent when most answer again
   * get a second chance.
   */
  #listenAnew(): void {
    const sinceMs = this.#cutOffSinceMs;
    const nowMs = this.#options.clock.nowMs();
    this.#cutOffSinceMs = isCutOff(this.#nodeObservations()) ? (sinceMs ?? nowMs) : null;
    if (sinceMs === null || this.#cutOffSinceMs !== null) return;
    // The nodes become silent one after the other, within down-after.
    const silentSinceMs = sinceMs - this.#settings.downAfterMs;
    for (const watch of this.#watches.values()) watch.listenAnew(silentSinceMs);
  }

  async #writeReport(): Promise<void> {
    const { run, confDigest, hashes, name, isMember } = this.#options;
    if (!isMember()) return;
    this.#sequence += 1;
    const data = this.#nodeObservations();
    const report: PeerReport = {
      sequence: `${run} ${this.#sequence}`,
      confDigest: confDigest(),
      suspects: suspectsOf(data),
      isCutOff: isCutOff(data),
    };
    await hashes.writeObserved(name, JSON.stringify(report));
  }

  #syncWatches(): void {
    const wanted = new Map<string, WatchedNode>();
    for (const node of nodesOf(this.#options.config(), "data")) wanted.set(node.name, node);
    // The view's addresses count, even if this monitor's twine.conf has others.
    for (const node of this.#leading?.nodes ?? []) {
      if (node.kind === "data") wanted.set(node.name, node);
    }
    for (const [name, watch] of this.#watches) {
      const { address } = watch;
      const node = wanted.get(name);
      if (node?.port === address.port && addressOf(node.host) === address.host) continue;
      watch.close();
      this.#watches.delete(name);
    }
    for (const node of wanted.values()) {
      if (!this.#watches.has(node.name)) this.#watches.set(node.name, this.#openWatch(node));
    }
  }

  #openWatch(node: WatchedNode): NodeWatch {
    const { credentials, name, clock, openLink, quiet } = this.#options;
    return watchNode({
      address: { host: addressOf(node.host), port: node.port },
      credentials,
      clientName: `twined-watch:${name}`,
      clock,
      openLink,
      mayAsk: () => quiet.over(),
      downAfterMs: () => this.#settings.downAfterMs,
      restMs: (reach) => this.#restMs(node.name, reach),
      wantsInfo: () => this.#leading !== null,
      onNews: () => {
        this.#onNewsOf(node.name);
      },
      onScriptKilled: () => {
        this.#options.emit("+script-kill", { node: node.name });
      },
    });
  }

  /** Times between questions. The alpha asks about one pending node per millisecond, all pending nodes together. */
  #restMs(name: string, reach: "up" | "refused"): number {
    const { downAfterMs } = this.#settings;
    if (reach === "refused") return Math.max(50, this.#watches.size);
    if (this.#leading === null) return downAfterMs / 4;
    if (this.#pending.has(name)) return Math.max(20, this.#pending.size);
    return Math.min(200, downAfterMs / 4);
  }

  /** Decides at once when a node of a pending partition has news or a node is lost; other news waits for the next tick. */
  #onNewsOf(name: string): void {
    const reach = this.#watches.get(name)?.observation().reach;
    const isGone = reach === "refused" || reach === "silent";
    if (isGone || this.#suspects.has(name)) this.#noteSuspects();
    const isUrgent = isGone || this.#pending.has(name);
    if (this.#leading !== null && isUrgent) this.#options.onNews();
  }
}
