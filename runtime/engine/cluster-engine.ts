// cluster-engine.ts: the engine of a Twine cluster for a program of the user app: from twine.conf, or only status nodes,
// to an engine that routes by the view.
//
//   conf --> follow the view --> first view (or repeatedly report why there is none) --> routing, TLS --> openEngine
import type { ClusterConfig } from "../core/cluster.ts";
import { credentialsOf, type Secret } from "../core/credentials.ts";
import type { TwineError } from "../core/errors.ts";
import { requireSameHashing, withHashing } from "../core/hashing.ts";
import { followsHashing } from "../core/reshard.ts";
import { isMismatch, type RoutingSource } from "../core/routing.ts";
import { requireSameCluster } from "../core/same-cluster.ts";
import type { View } from "../core/view.ts";
import { loadPartitioner } from "../ports/hash-source.ts";
import type { LinkTls } from "../ports/link-tls.ts";
import type { Log } from "../ports/log.ts";
import type { FingerprintedPartitioner } from "../ports/partitioner.ts";
import { openRedisLink, type OpenLink } from "../ports/redis-link.ts";
import { loadNodesTls } from "../ports/tls-files.ts";
import { followView } from "../register/follow.ts";
import { guardedRouting } from "../register/guarded-routing.ts";
import { firstView, whyNoView } from "../register/open-view.ts";
import type { ViewSource } from "../register/view-source.ts";
import { openEngine, type Engine, type EngineOptions } from "./engine.ts";
import { programRules } from "./limits.ts";

export interface ClusterEngineOptions extends Pick<
  EngineOptions,
  "clock" | "clientName" | "ownerName" | "hooks"
> {
  readonly config: ClusterConfig;
  /** There is no twine.conf: the view has the hashing. @default false */
  readonly isToldByView?: boolean;
  readonly password: Secret | undefined;
  /** undefined: as in twine.conf. */
  readonly tls?: LinkTls | undefined;
  readonly log: Log;
  /** There is no view yet, and the reason has changed. The engine keeps trying. */
  onNoView(why: TwineError): void;
  /** Called for every view after the engine was opened, and for the first one. */
  onView?(view: View): void;
}

/** The delay before onNoView is called without a view; at most half of hold-for. */
const VIEW_WAIT_MS = 2500;
const VIEW_WAIT_MS_MIN = 500;

export class ClusterEngine {
  /** Resolves when commands are sent instead of buffered; with undefined if it was closed before. Rejects with an error
      that waiting can't resolve: CLUSTER_DIFFERS, HASHING_DIFFERS, HASHING_UNKNOWN, or an error of loadPartitioner or
      loadNodesTls. */
  readonly ready: Promise<Engine | undefined>;
  /** The engine as soon as it is opened. */
  engine: Engine | undefined;
  /** Why there is no view; undefined if there is one. */
  whyNoView: TwineError | undefined;
  readonly #options: ClusterEngineOptions;
  readonly #tls: Promise<LinkTls | undefined>;
  readonly #openLink: OpenLink;
  readonly #source: ViewSource;
  #routing: RoutingSource | undefined;
  #partitioner: FingerprintedPartitioner | undefined;
  #seen: View | undefined;
  #endWatch: () => void = () => undefined;
  #isClosed = false;

  /** Starts at once. */
  constructor(options: ClusterEngineOptions) {
    const { config, password, clock, log, tls } = options;
    this.#options = options;
    this.#tls =
      tls === undefined ? Promise.resolve().then(() => loadNodesTls(config)) : Promise.resolve(tls);
    this.#tls.catch(() => undefined);
    this.#openLink = async (address, link) =>
      openRedisLink(address, { ...link, tls: await this.#tls });
    this.#source = followView({ config, password, clock, log, openLink: this.#openLink });
    this.ready = this.#start();
    // The caller that awaits `ready` gets the error.
    this.ready.catch(() => undefined);
  }

  get view(): View | undefined {
    return this.#source.current();
  }

  /** The partition of a key; "later" if its hash is not synchronous. */
  partitionOf(key: Buffer): number | "later" {
    const routing = this.#routing?.of(this.view);
    if (routing === undefined || isMismatch(routing)) return "later";
    return routing.partitionOfRange?.(key, 0, key.length) ?? "later";
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.engine?.close();
    this.#endWatch();
    await this.#source.close();
    await this.#partitioner?.close();
  }

  async #start(): Promise<Engine | undefined> {
    const { isToldByView = false, password, config: given } = this.#options;
    const tls = await this.#tls;
    const view = await this.#firstView();
    if (view === undefined) return undefined;
    const config = isToldByView ? withHashing(given, view) : given;
    requireSameCluster(view, config);
    const partitioner = await loadPartitioner(config);
    this.#partitioner = partitioner;
    if (!followsHashing(view, partitioner.hashing)) {
      requireSameHashing(view, config, partitioner.hashing);
    }
    if (this.#isClosed) {
      await partitioner.close();
      return undefined;
    }
    const routing = guardedRouting(config, partitioner);
    const rules = programRules(config.settings, tls);
    const credentials = credentialsOf("router", password);
    const viewSource = this.#source;
    const engine = openEngine({ ...this.#options, rules, viewSource, routing, credentials });
    this.#routing = routing;
    this.engine = engine;
    this.#endWatch = viewSource.onChange(() => {
      this.#look();
    });
    this.#look();
    return (await engine.whenReady()) ? engine : undefined;
  }

  /** undefined if it was closed before. */
  async #firstView(): Promise<View | undefined> {
    const { config, password, clock } = this.#options;
    // Early enough that the errors of the first commands that time out can have the reason.
    const waitMs = Math.min(
      VIEW_WAIT_MS,
      Math.max(VIEW_WAIT_MS_MIN, config.settings.holdForMs / 2),
    );
    while (!this.#isOver()) {
      const isThere = await firstView(this.#source, clock, waitMs);
      const { view } = this;
      if (isThere && view !== undefined) return view;
      const why = await whyNoView(config, password, clock, this.#openLink);
      if (this.#isOver()) break;
      if (why.code === "CLUSTER_DIFFERS") throw why;
      const isNews = this.whyNoView?.code !== why.code;
      this.whyNoView = why;
      if (isNews) this.#options.onNoView(why);
    }
    return undefined;
  }

  /** A function, because the engine may be closed during an await. */
  #isOver(): boolean {
    return this.#isClosed;
  }

  #look(): void {
    const { view } = this;
    if (view === undefined || view === this.#seen) return;
    this.#seen = view;
    this.#options.onView?.(view);
  }
}
