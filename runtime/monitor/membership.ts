// membership.ts: whether this monitor is one of the cluster's at all. One that is not neither leads nor proposes nor tells
// the others what it sees: it would be taken for the monitor of the same name, and lead away a cluster not its own.
//
// 1. Another cluster's: its twine.conf shares no data node with the view (core/same-cluster.ts). Judged until it was once
//    found to belong: after that it goes with the cluster wherever a changed twine.conf moves it.
// 2. The second of its name: the view has that name at another place, and another process of that name answers there.
//    The one in the view counts. When it has gone, or the view has moved on, this one takes its part. The place is the
//    one where this process listens, whatever a changed file says meanwhile; and it may be reached under another
//    address, hence the run in the answer.
// Before the first look nothing is known, and nothing is told.
import { addressOf, nodesOf, type ClusterConfig } from "../core/cluster.ts";
import { CLUSTER_REMEDY, clusterClash } from "../core/same-cluster.ts";
import type { View } from "../core/view.ts";
import type { Clock } from "../ports/clock.ts";
import type { Emit } from "./emit.ts";
import type { AskMonitor } from "./observe/ask-monitor.ts";

export interface MembershipOptions {
  readonly name: string;
  /** Says which run of this monitor it is; no two runs share it. */
  readonly run: string;
  readonly config: () => ClusterConfig;
  readonly clock: Clock;
  readonly askMonitor: AskMonitor;
  readonly emit: Emit;
}

export interface Membership {
  /** Weighs what the register holds; null: a majority says that it holds no view. */
  judge(view: View | null): void;
  /** Whether this monitor may tell, propose and lead. */
  isMember(): boolean;
  /** Why it keeps out; empty when it doesn't, or when nothing is known yet. */
  keepsOutBecause(): string;
  /** The view on the status nodes is another cluster's. */
  isStranger(): boolean;
}

export function createMembership(options: MembershipOptions): Membership {
  return new Judged(options);
}

type Rival = "none" | "asked" | "alive";

class Judged implements Membership {
  readonly #options: MembershipOptions;
  /** Where this process listens. */
  readonly #place: string;
  #isJudged = false;
  #hasBelonged = false;
  #stranger = "";
  #rival: Rival = "none";
  /** Where the view has this name, when that is another place. */
  #rivalPlace = "";
  #askedAtMs = -Infinity;
  #told = "";

  constructor(options: MembershipOptions) {
    this.#options = options;
    const own = nodesOf(options.config(), "monitor").find(({ name }) => name === options.name);
    this.#place = own === undefined ? "" : placeOf(own);
  }

  judge(view: View | null): void {
    this.#isJudged = true;
    if (view !== null && !this.#hasBelonged) {
      const clash = clusterClash(view, this.#options.config());
      this.#stranger = clash === undefined ? "" : `${clash}; ${CLUSTER_REMEDY}`;
      this.#hasBelonged = clash === undefined;
    }
    if (view !== null) this.#lookForRival(view);
    this.#tell();
  }

  isMember(): boolean {
    return this.#isJudged && this.#stranger === "" && this.#rival === "none";
  }

  keepsOutBecause(): string {
    if (this.#stranger !== "" || this.#rival !== "alive") return this.#stranger;
    const { name } = this.#options;
    return (
      `the cluster has its ${name} at ${this.#rivalPlace}, which is alive, and this one is at ${this.#place}; ` +
      "stop the one that is not wanted, or give this one a name of its own in twine.conf"
    );
  }

  isStranger(): boolean {
    return this.#stranger !== "";
  }

  #lookForRival(view: View): void {
    const { name, clock, config } = this.#options;
    const seen = view.nodes.find((node) => node.kind === "monitor" && node.name === name);
    const place = seen === undefined ? this.#place : placeOf(seen);
    if (seen === undefined || place === this.#place) {
      this.#rival = "none";
      this.#rivalPlace = "";
      return;
    }
    if (place !== this.#rivalPlace) {
      this.#rivalPlace = place;
      this.#rival = "asked";
      this.#askedAtMs = -Infinity;
    }
    const { downAfterMs } = config().settings;
    if (clock.nowMs() - this.#askedAtMs < downAfterMs) return;
    this.#askedAtMs = clock.nowMs();
    void this.#ask(place, addressOf(seen.host), seen.port, downAfterMs);
  }

  async #ask(place: string, host: string, port: number, withinMs: number): Promise<void> {
    const { name, run, askMonitor } = this.#options;
    const answer = await askMonitor(host, port, withinMs);
    // The view may have moved on meanwhile.
    if (place !== this.#rivalPlace) return;
    this.#rival = answer?.name === name && answer.run !== run ? "alive" : "none";
    this.#tell();
  }

  /** Once when it begins to keep out and once when it is over. */
  #tell(): void {
    const why = this.keepsOutBecause();
    if (why === this.#told) return;
    if (why !== "") this.#options.emit("-member", { why });
    else if (this.isMember()) this.#options.emit("+member");
    else return;
    this.#told = why;
  }
}

function placeOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${addressOf(host)}:${port}`;
}
