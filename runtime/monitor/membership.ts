// membership.ts: whether this monitor belongs to the cluster. If not, it must not lead, propose or report: it would be
// taken for the monitor of the same name, and could lead another cluster.
//
// 1. Another cluster's: its twine.conf shares no data node with the view (core/same-cluster.ts). Checked until it was once
//    found to belong; after that it stays a member wherever a changed twine.conf moves it.
// 2. The second of its name: the view has that name at another address, and another process of that name answers there.
//    The one in the view counts. When that one is gone, or the view has changed, this one takes its place. The address is
//    the one where this process listens, whatever a changed file says. It may be reached under another address, so the
//    answer contains the run.
// Before the first check nothing is known, and nothing is reported.
import { addressOf, nodesOf, type ClusterConfig } from "../core/cluster.ts";
import { CLUSTER_REMEDY, clusterMismatch } from "../core/same-cluster.ts";
import type { View } from "../core/view.ts";
import type { Clock } from "../ports/clock.ts";
import type { Emit } from "./emit.ts";
import type { AskMonitor } from "./observe/ask-monitor.ts";

export interface MembershipOptions {
  readonly name: string;
  /** Identifies this process of the monitor; unique. */
  readonly run: string;
  readonly config: () => ClusterConfig;
  readonly clock: Clock;
  readonly askMonitor: AskMonitor;
  readonly emit: Emit;
}

export interface Membership {
  /** Checks the register's view; null: a majority reports that there is none. */
  judge(view: View | null): void;
  /** Whether this monitor may report, propose and lead. */
  isMember(): boolean;
  /** Why this monitor is not a member; empty when it is one, or when nothing is known yet. */
  keepsOutBecause(): string;
  /** Whether the view on the status nodes is another cluster's. */
  isStranger(): boolean;
}

export function createMembership(options: MembershipOptions): Membership {
  return new Judged(options);
}

type Rival = "none" | "asked" | "alive";

class Judged implements Membership {
  readonly #options: MembershipOptions;
  /** The address where this process listens. */
  readonly #place: string;
  #isJudged = false;
  #hasBelonged = false;
  #stranger = "";
  #rival: Rival = "none";
  /** The view's address for this name, when it is another one. */
  #rivalAddress = "";
  #askedAtMs = -Infinity;
  #reported = "";

  constructor(options: MembershipOptions) {
    this.#options = options;
    const own = nodesOf(options.config(), "monitor").find(({ name }) => name === options.name);
    this.#place = own === undefined ? "" : placeOf(own);
  }

  judge(view: View | null): void {
    this.#isJudged = true;
    if (view !== null && !this.#hasBelonged) {
      const conflict = clusterMismatch(view, this.#options.config());
      this.#stranger = conflict === undefined ? "" : `${conflict}; ${CLUSTER_REMEDY}`;
      this.#hasBelonged = conflict === undefined;
    }
    if (view !== null) this.#lookForRival(view);
    this.#report();
  }

  isMember(): boolean {
    return this.#isJudged && this.#stranger === "" && this.#rival === "none";
  }

  keepsOutBecause(): string {
    if (this.#stranger !== "" || this.#rival !== "alive") return this.#stranger;
    const { name } = this.#options;
    return (
      `the cluster has its ${name} at ${this.#rivalAddress}, which is alive, and this one is at ${this.#place}; ` +
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
      this.#rivalAddress = "";
      return;
    }
    if (place !== this.#rivalAddress) {
      this.#rivalAddress = place;
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
    // The view may have changed meanwhile.
    if (place !== this.#rivalAddress) return;
    this.#rival = answer?.name === name && answer.run !== run ? "alive" : "none";
    this.#report();
  }

  /** Emits -member once when the membership ends, and +member once when it begins again. */
  #report(): void {
    const why = this.keepsOutBecause();
    if (why === this.#reported) return;
    if (why !== "") this.#options.emit("-member", { why });
    else if (this.isMember()) this.#options.emit("+member");
    else return;
    this.#reported = why;
  }
}

function placeOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${addressOf(host)}:${port}`;
}
