// observer.ts: everything that one monitor sees, gathered in the background and handed over as plain data.
//
//   watches (one per data node)  ─┐
//   notice board (peers, requests)├─> observations() -> decide
//   status nodes, routers        ─┘
//
// A watching monitor only takes signs of life of the data nodes and writes its notice; as alpha it asks for INFO, reads
// the board, and looks at status nodes and routers. Nothing here waits for anything there: a hung node costs nobody.
import { addressOf, nodesOf, type ClusterConfig } from "../../core/cluster.ts";
import type { Credentials } from "../../core/credentials.ts";
import type { NodeView, View } from "../../core/view.ts";
import type { Clock } from "../../ports/clock.ts";
import type { OpenLink } from "../../ports/redis-link.ts";
import type { Acceptor } from "../../register/register.ts";
import { startChore, type Chore } from "../chore.ts";
import type { Observations, Sight } from "../decide/observations.ts";
import { isCutOff, suspectsOf, toldSuspectsOf } from "../decide/standing.ts";
import type { Emit } from "../emit.ts";
import type { Board } from "./board.ts";
import { AlphaSenses } from "./alpha-senses.ts";
import type { Notice } from "./notices.ts";
import { watchNode, type NodeWatch } from "./node-watch.ts";
import { unsettledNodes } from "./pace.ts";
import type { Probe } from "./tcp-probe.ts";

export interface ObserverOptions {
  readonly name: string;
  /** Says which run of this monitor writes; no two runs share it. */
  readonly run: string;
  readonly config: () => ClusterConfig;
  readonly confDigest: () => string;
  readonly credentials: Credentials | undefined;
  readonly clock: Clock;
  readonly openLink: OpenLink;
  readonly acceptors: readonly Acceptor[];
  readonly board: Board;
  readonly probe: Probe;
  /** Whether this monitor may tell the others what it sees. */
  readonly isMember: () => boolean;
  readonly emit: Emit;
  /** Something is worth a decision before the next tick. */
  readonly onNews: () => void;
  /** A background task failed in a way that it does not handle itself. */
  readonly onTrouble: (what: string, error: unknown) => void;
}

export interface Observer {
  observations(): Observations;
  /** What the alpha works on: its nodes are watched closely, and the hurried ones closer. null: only watch. */
  lead(view: View | null): void;
  /** Look at this node now. */
  poke(node: string): void;
  /** After a changed twine.conf. */
  reload(): void;
  /** As alpha: asks every data node once more and records what the serving ones hold, half a second at most. */
  recordNow(): Promise<void>;
  /** All that INFO tells of a data node, as text; rejects when it can't be asked (node-watch.ts). */
  details(node: string): Promise<string>;
  /** It is answered: not to be decided again, whatever an older copy on the board says. */
  forgetRequest(id: string): void;
  stop(): void;
}

/** A monitor that is told to stop must not wait long for a node that hangs. */
const RECORD_WAIT_MS = 500;

type WatchedNode = Pick<NodeView, "name" | "host" | "port">;

export function createObserver(options: ObserverOptions): Observer {
  return new MonitorEyes(options);
}

class MonitorEyes implements Observer {
  readonly #options: ObserverOptions;
  readonly #watches = new Map<string, NodeWatch>();
  readonly #senses: AlphaSenses;
  readonly #notice: Chore;
  #suspects: ReadonlySet<string> = new Set();
  /** Since when most data nodes are silent; null while they are not. */
  #cutOffSinceMs: number | null = null;
  #leading: View | null = null;
  #unsettled: ReadonlySet<string> = new Set();
  #sequence = 0;

  constructor(options: ObserverOptions) {
    this.#options = options;
    const { clock, onTrouble } = options;
    this.#senses = new AlphaSenses({
      ...options,
      suspects: () => this.#suspects,
      infoOf: (name) => this.#watches.get(name)?.sight().info ?? null,
    });
    this.#syncWatches();
    // A monitor shows that it lives by a notice that changes; a new one is quick about its first changes.
    const noticeEveryMs = (): number =>
      this.#settings.leaseMs / (this.#sequence === 0 ? 25 : this.#sequence < 5 ? 5 : 1);
    this.#notice = startChore(
      clock,
      noticeEveryMs,
      () => this.#writeNotice(),
      (error) => {
        onTrouble("notice", error);
      },
    );
  }

  get #settings(): ClusterConfig["settings"] {
    return this.#options.config().settings;
  }

  observations(): Observations {
    return { data: this.#sights(), ...this.#senses.sensed() };
  }

  lead(view: View | null): void {
    const isNew = this.#leading === null && view !== null;
    this.#leading = view;
    const before = this.#unsettled;
    this.#unsettled = view === null ? new Set() : unsettledNodes(view, this.#sights());
    this.#syncWatches();
    this.#senses.lead(view);
    // Whoever was well a moment ago rests for long; what it says now is needed for the next step.
    for (const name of this.#unsettled) if (!before.has(name)) this.poke(name);
    if (isNew) for (const watch of this.#watches.values()) watch.refresh();
  }

  poke(node: string): void {
    this.#watches.get(node)?.poke();
  }

  reload(): void {
    this.#syncWatches();
    this.#noteSuspects();
    this.#notice.poke();
  }

  forgetRequest(id: string): void {
    this.#senses.forgetRequest(id);
  }

  async recordNow(): Promise<void> {
    const { clock } = this.#options;
    const masters = (this.#leading?.partitions ?? []).flatMap(({ master }) => master ?? []);
    for (const watch of this.#watches.values()) watch.refresh();
    const isAsked = (name: string): boolean => this.#watches.get(name)?.sight().info !== null;
    const endMs = clock.nowMs() + RECORD_WAIT_MS;
    while (!masters.every(isAsked) && clock.nowMs() < endMs) await clock.delay(10);
    await this.#senses.record();
  }

  async details(node: string): Promise<string> {
    const watch = this.#watches.get(node);
    if (watch === undefined) throw new Error(`nobody watches ${node}`);
    return watch.details();
  }

  stop(): void {
    this.#notice.stop();
    this.#senses.stop();
    for (const watch of this.#watches.values()) watch.close();
  }

  #sights(): Map<string, Sight> {
    return new Map([...this.#watches].map(([name, watch]) => [name, watch.sight()]));
  }

  #noteSuspects(): void {
    this.#listenAnew();
    const before = this.#suspects;
    // Whoever has a new chance has not answered yet.
    const waited = [...before].filter((name) => this.#watches.get(name)?.isListeningAnew());
    const now = new Set([...suspectsOf(this.#sights()), ...waited]);
    const begun = [...now].filter((name) => !before.has(name));
    const ended = [...before].filter((name) => !now.has(name));
    this.#suspects = now;
    for (const node of begun) this.#options.emit("+suspect", { node });
    for (const node of ended) this.#options.emit("-suspect", { node });
    if (begun.length > 0) this.#senses.hurry();
    if (begun.length + ended.length > 0) this.#notice.poke();
  }

  /**
   * What fell silent while this monitor was cut off may be well, and its host the last one to be reached again: counted
   * as silence, that would fail over masters that run. So whoever is silent when most answer again gets a new chance.
   */
  #listenAnew(): void {
    const sinceMs = this.#cutOffSinceMs;
    const nowMs = this.#options.clock.nowMs();
    this.#cutOffSinceMs = isCutOff(this.#sights()) ? (sinceMs ?? nowMs) : null;
    if (sinceMs === null || this.#cutOffSinceMs !== null) return;
    // They fall silent one after the other, within a down-after of one another.
    const silentSinceMs = sinceMs - this.#settings.downAfterMs;
    for (const watch of this.#watches.values()) watch.listenAnew(silentSinceMs);
  }

  async #writeNotice(): Promise<void> {
    const { run, confDigest, board, name, isMember } = this.#options;
    if (!isMember()) return;
    this.#sequence += 1;
    const notice: Notice = {
      sequence: `${run} ${this.#sequence}`,
      confDigest: confDigest(),
      suspects: toldSuspectsOf(this.#sights()),
    };
    await board.writeObserved(name, JSON.stringify(notice));
  }

  #syncWatches(): void {
    const wanted = new Map<string, WatchedNode>();
    for (const node of nodesOf(this.#options.config(), "data")) wanted.set(node.name, node);
    // What the view says of a node is what the cluster runs by, whatever this monitor's file says.
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
    const { credentials, name, clock, openLink } = this.#options;
    return watchNode({
      address: { host: addressOf(node.host), port: node.port },
      credentials,
      clientName: `twined-watch:${name}`,
      clock,
      openLink,
      downAfterMs: () => this.#settings.downAfterMs,
      restMs: (reach) => this.#restMs(node.name, reach),
      wantsInfo: () => this.#leading !== null,
      onNews: () => {
        this.#onNewsOf(node.name);
      },
    });
  }

  /** Resting times. The alpha's hurry is shared among all hurried nodes, about a question per millisecond. */
  #restMs(name: string, reach: "up" | "refused"): number {
    const { downAfterMs } = this.#settings;
    if (reach === "refused") return Math.max(50, this.#watches.size);
    if (this.#leading === null) return downAfterMs / 4;
    if (this.#unsettled.has(name)) return Math.max(20, this.#unsettled.size);
    return Math.min(200, downAfterMs / 4);
  }

  /** A tick at once where something is under way or has died; the rest can wait for the next one. */
  #onNewsOf(name: string): void {
    const reach = this.#watches.get(name)?.sight().reach;
    const isGone = reach === "refused" || reach === "silent";
    if (isGone || this.#suspects.has(name)) this.#noteSuspects();
    const isUrgent = isGone || this.#unsettled.has(name);
    if (this.#leading !== null && isUrgent) this.#options.onNews();
  }
}
