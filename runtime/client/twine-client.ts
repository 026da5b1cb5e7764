// twine-client.ts: a Redis client of a whole Twine cluster that speaks straight to its nodes: the same hash, the same
// view and the same rules as a router, one hop less.
//
//   twine.conf or status nodes -> follow the view -> topology -> dispatcher -> lanes -> masters (and replicas)
import { credentialsOf } from "../core/credentials.ts";
import type { ClusterConfig } from "../core/cluster.ts";
import { TwineError } from "../core/errors.ts";
import { requireSameHashing } from "../core/hashing.ts";
import { requireSameCluster } from "../core/same-cluster.ts";
import type { View } from "../core/view.ts";
import { systemClock, type Clock } from "../ports/clock.ts";
import { loadPartitioner } from "../ports/hash-source.ts";
import { silentLog, type Log } from "../ports/log.ts";
import type { Partitioner } from "../ports/partitioner.ts";
import { systemRandom } from "../ports/random.ts";
import type { LinkTls } from "../ports/link-tls.ts";
import { openRedisLink, type OpenLink } from "../ports/redis-link.ts";
import { loadNodesTls } from "../ports/tls-files.ts";
import { followView } from "../register/follow.ts";
import { guardedView } from "../register/guarded-view.ts";
import { firstView, whyNoView } from "../register/open-view.ts";
import type { ViewSource } from "../register/view-source.ts";
import { askCommands, silenceOf } from "./ask-commands.ts";
import {
  ackProblems,
  readClientConf,
  withHashing,
  type ClientSettings,
  type ConfSource,
} from "./client-conf.ts";
import { closedError, ClusterClient } from "./cluster-client.ts";
import { Dispatcher } from "./dispatcher.ts";
import type { LaneContext } from "./lane-context.ts";
import type { NodeTarget } from "./node-connection.ts";
import { targetOf, viewTopology } from "./view-topology.ts";

export { TwineError };
export type { IsolatedClient } from "./isolation/isolated-client.ts";

export interface TwineClientOptions extends ConfSource, Partial<ClientSettings> {
  /** The cluster's password. */
  readonly password?: string;
  /** How data nodes and status nodes are spoken to, as node:tls and ioredis have it. Without it twine.conf says: with
      tls-nodes yes by its tls-ca, tls-cert and tls-key. */
  readonly tls?: LinkTls;
  readonly log?: Log;
}

const CONNECT_TIMEOUT_MS = 1000;
/** After so long without a view, or half of hold-for, error says why; the client goes on trying. */
const VIEW_WAIT_MS = 2500;
const VIEW_WAIT_MS_MIN = 500;

export class TwineClient extends ClusterClient {
  readonly #options: TwineClientOptions;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #source: ViewSource;
  readonly #tls: Promise<LinkTls | undefined>;
  readonly #openLink: OpenLink;
  #config: ClusterConfig;
  #partitioner: Partitioner | undefined;
  #endWatch: () => void = () => undefined;
  #masters: readonly (string | null)[] = [];
  #seen: View | undefined;
  readonly #ready: Promise<void>;

  /** Begins to follow the view at once; commands are held until it is there. Throws what readClientConf throws. */
  constructor(options: TwineClientOptions) {
    const config = readClientConf(options);
    super({ clock: systemClock, holdForMs: config.settings.holdForMs });
    this.#options = options;
    this.#config = config;
    this.#clock = systemClock;
    this.#log = options.log ?? silentLog;
    const tls = options.tls === undefined ? loadNodesTls(config) : Promise.resolve(options.tls);
    // Told by ready(), which awaits it.
    tls.catch(() => undefined);
    this.#tls = tls;
    this.#openLink = async (address, link) => openRedisLink(address, { ...link, tls: await tls });
    this.#source = followView({
      config,
      password: options.password,
      clock: systemClock,
      log: this.#log,
      openLink: this.#openLink,
    });
    this.#ready = this.#start();
    // Whoever wants to know asks ready(); everybody else hears it from "error" and from the commands.
    this.#ready.catch((error: unknown) => {
      const failure = error instanceof Error ? error : new Error(String(error));
      if (this.isClosed) return;
      this.failWaiting(failure);
      this.emit("error", failure);
    });
  }

  /** Resolves when commands are sent and no longer held. Rejects with what can't be mended by waiting: another cluster's
      status nodes (CLUSTER_DIFFERS), another hashing (HASHING_DIFFERS, HASHING_UNKNOWN), a hash or a certificate that can't
      be loaded (TLS_UNREADABLE, TLS_KEY_OPEN, TLS_UNUSABLE), or a client that was closed before. */
  ready(): Promise<void> {
    return this.isClosed ? Promise.reject(closedError()) : this.#ready;
  }

  /** The newest view, or undefined before the first. */
  get view(): View | undefined {
    return this.#source.current();
  }

  protected override async closeSources(): Promise<void> {
    this.#endWatch();
    await this.#source.close();
    await this.#partitioner?.close();
  }

  async #start(): Promise<void> {
    const { password } = this.#options;
    const tls = await this.#tls;
    const view = await this.#firstView();
    if (this.#options.statusNodes !== undefined) this.#config = withHashing(this.#config, view);
    requireSameCluster(view, this.#config);
    requireSameHashing(view, this.#config);
    this.#warnOfAck(view);
    const partitioner = await loadPartitioner(this.#config);
    this.#partitioner = partitioner;
    const credentials = credentialsOf("router", password);
    const known = await askCommands({
      targets: () => dataNodes(this.#source.current()).map((node) => targetOf(node, credentials)),
      clock: this.#clock,
      tls,
      isOver: () => this.isClosed,
      onSilence: (target, why) => {
        this.tellWhyNotReady(silenceOf(target, why));
        this.#log.debug("a data node told no table of commands", { node: target.name, why });
      },
    });
    if (known === undefined) {
      await partitioner.close();
      throw closedError();
    }
    const context = this.#laneContext(tls);
    this.#watch();
    const ports = { context, partitioner, random: systemRandom, onMessage: this.takeMessage };
    this.open(new Dispatcher({ ...ports, ...known }));
  }

  /** Told of status nodes alone, it learns only now how many replicas there are. */
  #warnOfAck({ nodes }: View): void {
    const partitions = nodes.flatMap(({ kind, partition }) =>
      kind === "data" ? (partition ?? []) : [],
    );
    const problems = ackProblems(this.#config.settings.ackReplicas, partitions);
    if (problems.length > 0) this.emit("error", new TwineError(problems));
  }

  async #firstView(): Promise<View> {
    // Early enough that the first commands which give up can say why.
    const waitMs = Math.min(
      VIEW_WAIT_MS,
      Math.max(VIEW_WAIT_MS_MIN, this.#config.settings.holdForMs / 2),
    );
    let told = "";
    for (;;) {
      if (this.isClosed) throw closedError();
      const isThere = await firstView(this.#source, this.#clock, waitMs);
      const view = this.#source.current();
      if (isThere && view !== undefined) return view;
      const { password } = this.#options;
      const why = await whyNoView(this.#config, password, this.#clock, this.#openLink);
      if (why.code === "CLUSTER_DIFFERS") throw why;
      for (const problem of why.problems) this.tellWhyNotReady(problem);
      if (told !== why.code) this.emit("error", why);
      told = why.code;
    }
  }

  #laneContext(tls: LinkTls | undefined): LaneContext {
    const { settings } = this.#config;
    const topology = viewTopology({
      view: guardedView(this.#source, this.#config),
      partitionCount: settings.partitions,
      readFrom: settings.readFrom,
      credentials: credentialsOf("router", this.#options.password),
      random: systemRandom,
    });
    return {
      topology,
      clock: this.#clock,
      holdForMs: settings.holdForMs,
      holdBytesMax: settings.holdBytes,
      ackReplicas: settings.ackReplicas,
      ackTimeoutMs: settings.ackTimeoutMs,
      retryUnknown: settings.retryUnknown,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      tls,
      readerSilentMs: settings.downAfterMs,
      heldBytes: 0,
      onFailure: (partition: number, target: NodeTarget, why: string) => {
        this.#log.debug("a connection broke", { partition, node: target.name, why });
      },
      ...this.outages,
    };
  }

  #watch(): void {
    const look = (): void => {
      const view = this.#source.current();
      if (view === undefined || view === this.#seen) return;
      this.#seen = view;
      this.emit("view", view);
      this.#tellFailovers(view);
    };
    this.#endWatch = this.#source.onChange(look);
    look();
  }

  #tellFailovers(view: View): void {
    const known = this.#masters;
    // While there is none, the last one is remembered: another one after it is a failover.
    this.#masters = view.partitions.map(({ index, master }) => master ?? known[index] ?? null);
    view.partitions.forEach(({ index, master }) => {
      const from = known[index] ?? null;
      if (master !== null && from !== null && from !== master) {
        this.emit("failover", { partition: index, from, to: master });
      }
    });
  }
}

/** Masters first. */
function dataNodes(view: View | undefined): View["nodes"] {
  const rank = { master: 0, replica: 1, up: 1, dead: 2 };
  return (view?.nodes ?? [])
    .filter(({ kind }) => kind === "data")
    .toSorted((a, b) => rank[a.role] - rank[b.role]);
}
