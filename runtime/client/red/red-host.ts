// red-host.ts: opens the engine of a RedCluster, with the view of its replica sets.
//
// The cluster's name and hashing are not checked, because this process made the view itself.
import { DEFAULT_SETTINGS } from "../../core/conf/directives.ts";
import type { Settings } from "../../core/cluster.ts";
import type { Credentials } from "../../core/credentials.ts";
import { builtinRouting, fixedRouting, type Routing } from "../../core/routing.ts";
import type { View } from "../../core/view.ts";
import { openEngine, type Engine } from "../../engine/engine.ts";
import { programRules } from "../../engine/limits.ts";
import { systemClock } from "../../ports/clock.ts";
import type { LinkTls } from "../../ports/link-tls.ts";
import { silentLog } from "../../ports/log.ts";
import type { RedNode, ReplicaSet } from "../../replica-sets/replica-set.ts";
import { SetsView } from "../../replica-sets/sets-view.ts";
import type { OpenedEngine, Report } from "../engine-host.ts";
import { notReadyError, orClosed, silenceProblem } from "../reply-errors.ts";

export interface RedHostOptions {
  /** By set; the first node is the configured master. */
  readonly sets: readonly (readonly RedNode[])[];
  readonly credentials: Credentials | undefined;
  readonly tls: LinkTls | undefined;
  readonly downAfterMs: number;
  readonly settings: Pick<Settings, "holdForMs" | "holdBytes" | "retryUnknown" | "readFrom">;
}

const CONNECT_TIMEOUT_MS = 1000;

/** The routing for this number of replica sets. */
export function redRouting(sets: number): Routing {
  return builtinRouting({ hash: "crc32", partitions: sets });
}

export class RedHost implements OpenedEngine {
  readonly ready: Promise<Engine>;
  readonly #options: RedHostOptions;
  readonly #routing: Routing;
  readonly #source: SetsView;
  #engine: Engine | undefined;
  #isClosed = false;

  constructor(options: RedHostOptions, report: Report) {
    this.#options = options;
    this.#routing = redRouting(options.sets.length);
    this.#source = new SetsView({
      ...{ ...options, clock: systemClock },
      onFailover: (change) => {
        report("failover", change);
      },
      onError: (error) => {
        report("error", error);
      },
    });
    this.ready = orClosed(this.#start(report));
  }

  get sets(): readonly ReplicaSet[] {
    return this.#source.sets;
  }

  get view(): View | undefined {
    return this.#source.current();
  }

  partitionOf(key: Buffer): number | "later" {
    return this.#routing.partitionOfRange?.(key, 0, key.length) ?? "later";
  }

  whyNotReady(): Error {
    return notReadyError(silenceProblem(this.#engine?.silence));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#engine?.close();
    await this.#source.close();
  }

  async #start(report: Report): Promise<Engine | undefined> {
    const { settings, downAfterMs, tls, credentials, sets } = this.#options;
    await this.#source.start();
    if (this.#isClosed) return undefined;
    const all = { ...DEFAULT_SETTINGS, ...settings, downAfterMs, partitions: sets.length };
    const engine = openEngine({
      ...{ credentials, clock: systemClock, log: silentLog, viewSource: this.#source },
      ...{ rules: programRules(all, tls), routing: fixedRouting(this.#routing) },
      ...{ clientName: "twine-red", ownerName: "client", spreadsReads: true },
      connectTimeoutMs: Math.min(CONNECT_TIMEOUT_MS, downAfterMs),
      hooks: {
        onBuffering: (wait) => {
          report("held", wait);
        },
        onConnectionFailure: ({ partition, node }) => {
          this.#source.suspect(partition, node);
        },
      },
    });
    this.#engine = engine;
    return (await engine.whenReady()) ? engine : undefined;
  }
}
