// twine-host.ts: opens the engine of a TwineClient's cluster and reports its events to the clients.
import type { ClusterConfig } from "../core/cluster.ts";
import type { Secret } from "../core/credentials.ts";
import { TwineError } from "../core/errors.ts";
import type { View } from "../core/view.ts";
import { ClusterEngine } from "../engine/cluster-engine.ts";
import type { Engine } from "../engine/engine.ts";
import { systemClock } from "../ports/clock.ts";
import type { LinkTls } from "../ports/link-tls.ts";
import type { Log } from "../ports/log.ts";
import { ackProblems } from "./client-conf.ts";
import type { OpenedEngine, Report } from "./engine-host.ts";
import { notReadyError, orClosed, silenceProblem } from "./reply-errors.ts";

export interface TwineHostOptions {
  readonly config: ClusterConfig;
  /** There is no twine.conf: the view has the hashing. */
  readonly isToldByView: boolean;
  readonly password: Secret | undefined;
  readonly tls: LinkTls | undefined;
  readonly log: Log;
}

export class TwineHost implements OpenedEngine {
  readonly ready: Promise<Engine>;
  readonly #cluster: ClusterEngine;
  readonly #ackReplicas: number;
  readonly #report: Report;
  #seen: View | undefined;
  #masters: readonly (string | null)[] = [];

  constructor(options: TwineHostOptions, report: Report) {
    this.#ackReplicas = options.config.settings.ackReplicas;
    this.#report = report;
    this.#cluster = new ClusterEngine({
      ...{ ...options, clock: systemClock, clientName: "twine-client", ownerName: "client" },
      hooks: {
        onBuffering: (wait) => {
          report("held", wait);
        },
      },
      onNoView: (why) => {
        report("error", why);
      },
      onView: (view) => {
        this.#look(view);
      },
    });
    this.ready = orClosed(this.#cluster.ready);
  }

  get view(): View | undefined {
    return this.#cluster.view;
  }

  partitionOf(key: Buffer): number | "later" {
    return this.#cluster.partitionOf(key);
  }

  whyNotReady(): Error {
    const { engine, whyNoView } = this.#cluster;
    return notReadyError(silenceProblem(engine?.silence) ?? whyNoView?.problems[0]);
  }

  close(): Promise<void> {
    return this.#cluster.close();
  }

  #look(view: View): void {
    if (this.#seen === undefined) this.#warnOfAck(view);
    this.#seen = view;
    this.#report("view", view);
    const known = this.#masters;
    // The last master is kept while there is none: a different next one is a failover.
    this.#masters = view.partitions.map(({ index, master }) => master ?? known[index] ?? null);
    view.partitions.forEach(({ index, master }) => {
      const from = known[index] ?? null;
      if (master !== null && from !== null && from !== master) {
        this.#report("failover", { partition: index, from, to: master });
      }
    });
  }

  /** A client with only `statusNodes` learns the number of replicas from the view. */
  #warnOfAck({ nodes }: View): void {
    const partitions = nodes.flatMap(({ kind, partition }) =>
      kind === "data" ? (partition ?? []) : [],
    );
    const problems = ackProblems(this.#ackReplicas, partitions);
    if (problems.length > 0) this.#report("error", new TwineError(problems));
  }
}
