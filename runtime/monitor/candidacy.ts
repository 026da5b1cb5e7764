// candidacy.ts: a monitor that does not lead: watches the alpha's heartbeat and tries to become alpha when it stops.
// election.ts holds the rules; this file asks the register and keeps what was seen.
import { majorityOf } from "../core/cluster.ts";
import type { View } from "../core/view.ts";
import type { Random } from "../ports/random.ts";
import { FOREIGN_REMEDY, isForeign } from "../register/read.ts";
import type { Chosen, Prepared, RegisterReading, RegisterValue } from "../register/register.ts";
import { parseView } from "../status/parse-view.ts";
import {
  isNewer,
  mayContend,
  startWatch,
  watchOn,
  type Pulse,
  type Watch,
} from "./decide/election.ts";
import { leadClash } from "./decide/adopt-conf.ts";
import { firstView, inheritedView } from "./decide/first-view.ts";
import type { Membership } from "./membership.ts";
import { beginTerm, type Term, type TermOptions } from "./term.ts";

export interface CandidacyOptions extends TermOptions {
  readonly random: Random;
  readonly membership: Membership;
  readonly read: (withBody: boolean) => Promise<RegisterReading>;
}

export interface Candidacy {
  /** One look at the register; a term when this monitor has just become alpha. */
  tick(): Promise<Term | undefined>;
  /** After a term: watch anew. `trouble`: what was wrong when it ended, empty when nothing was; it stands until the register
      serves this monitor again or another leads, so that nobody takes the moment between for a good one. */
  restart(trouble: string): void;
  /** The last view read. */
  view(): View | null;
  /** Whether the heartbeat moved within the last lease or is too new to judge. */
  isAlphaAlive(): boolean;
  /** Why this monitor is no use at the moment; empty when all is well. */
  trouble(): string;
}

export function runForAlpha(options: CandidacyOptions): Candidacy {
  return new Candidate(options);
}

class Candidate implements Candidacy {
  readonly #options: CandidacyOptions;
  #watch: Watch | undefined;
  #view: View | null = null;
  /** Why too few status nodes answer. */
  #silence = "";
  /** Why those that answer gave no promise or took no view. It stands until one of the two worked, or another leads. */
  #refusal = "";
  #told = "";
  #clash = "";
  /** What was wrong when the last term ended. */
  #legacy = "";

  constructor(options: CandidacyOptions) {
    this.#options = options;
  }

  get #leaseMs(): number {
    return this.#options.config().settings.leaseMs;
  }

  async tick(): Promise<Term | undefined> {
    const watch = await this.#look();
    const { clock, membership } = this.#options;
    if (!membership.isMember()) return undefined;
    if (!mayContend(watch, clock.nowMs(), this.#leaseMs)) return undefined;
    return this.#contend(watch);
  }

  restart(trouble: string): void {
    this.#watch = undefined;
    this.#legacy = trouble;
  }

  view(): View | null {
    return this.#view;
  }

  trouble(): string {
    return this.#silence || this.#refusal || this.#clash || this.#legacy;
  }

  isAlphaAlive(): boolean {
    const watch = this.#watch;
    if (watch === undefined || watch.pulse.epoch === 0) return false;
    return this.#options.clock.nowMs() - watch.sinceMs < this.#leaseMs;
  }

  async #look(): Promise<Watch> {
    const { clock, random } = this.#options;
    const reading = await this.#options.read(false);
    await this.#keepView(reading.value);
    const pulse: Pulse = { epoch: reading.value?.epoch ?? 0, heartbeat: reading.heartbeat };
    const nowMs = clock.nowMs();
    const before = this.#watch;
    this.#watch =
      before === undefined
        ? startWatch(pulse, nowMs, this.#leaseMs, random.next())
        : watchOn(before, pulse, nowMs, this.#leaseMs, random.next());
    // A heartbeat moves only under the promise of a majority.
    if (before !== undefined && isNewer(pulse, before.pulse)) {
      this.#refusal = "";
      this.#legacy = "";
    }
    const answered = reading.answered.length;
    const needed = majorityOf(answered + reading.silent.size);
    const isTold = reading.value === null || this.#view !== null;
    if (answered >= needed && isTold) this.#options.membership.judge(this.#view);
    const reasons = [...reading.silent].map(([node, why]) => `${node}: ${why}`);
    this.#silence =
      answered >= needed
        ? ""
        : `${answered} of the ${needed} status nodes needed answer${foreignCause(reading.silent)}`;
    this.#tell(reasons);
    return this.#watch;
  }

  /** Twenty thousand bytes five times a second would be much for nothing: the body only when it is another one. */
  async #keepView(value: RegisterValue | null): Promise<void> {
    if (value === null) return;
    const known = this.#view;
    if (value.revision === known?.revision && value.epoch === known.epoch) return;
    const body = (await this.#options.read(true)).value?.body ?? null;
    if (body !== null) this.#view = parseView(body);
  }

  /**
   * 1. No promise of a majority: try again later.
   * 2. A heartbeat newer than the one watched: somebody leads after all, give way and watch on.
   * 3. It is another cluster's view, the keys lie by another hash than this twine.conf says, or it names other status
   *    nodes: must not lead.
   * 4. Otherwise this monitor's first value is the next epoch with itself as alpha.
   */
  async #contend(watched: Watch): Promise<Term | undefined> {
    const { proposer, clock, random } = this.#options;
    const prepared = await proposer.prepare();
    this.#judge(prepared);
    if (prepared.kind !== "prepared") {
      this.#backOff(watched);
      return undefined;
    }
    const { value } = prepared;
    const pulse = pulseOf(value);
    if (isNewer(pulse, watched.pulse)) {
      proposer.giveWay();
      this.#watch = startWatch(pulse, clock.nowMs(), this.#leaseMs, random.next());
      return undefined;
    }
    const before = value === null || value.body === null ? null : parseView(value.body);
    const { membership, config } = this.#options;
    membership.judge(before);
    if (!membership.isMember()) {
      proposer.giveWay();
      this.#backOff(watched);
      return undefined;
    }
    const clash = before === null ? undefined : leadClash(before, config());
    if (clash !== undefined && this.#clash !== clash) {
      this.#options.emit("-conf", { refused: true, why: clash });
    }
    this.#clash = clash ?? "";
    if (clash === undefined) return this.#write(before, watched);
    proposer.giveWay();
    this.#backOff(watched);
    return undefined;
  }

  async #write(before: View | null, watched: Watch): Promise<Term | undefined> {
    const { clock, config, confDigest, name, proposer } = this.#options;
    const wallTime = clock.wallTime();
    const first =
      before === null
        ? firstView(config(), confDigest(), name, wallTime)
        : inheritedView(before, name, wallTime);
    const { epoch, revision } = first;
    const sentAtMs = clock.nowMs();
    const chosen = await proposer.write({ body: JSON.stringify(first), epoch, revision });
    this.#judge(chosen);
    if (chosen.kind !== "chosen") {
      this.#backOff(watched);
      return undefined;
    }
    this.#view = first;
    return beginTerm(this.#options, first, before, sentAtMs);
  }

  /** After an attempt that came to nothing: not all contenders try again at the same moment. */
  #backOff(watched: Watch): void {
    const spreadMs = this.#leaseMs * (0.2 + 0.8 * this.#options.random.next());
    const sinceMs = this.#options.clock.nowMs() - this.#leaseMs;
    this.#watch = { ...watched, sinceMs, spreadMs };
  }

  /** A conflict proves neither: somebody else was faster, who perhaps had no majority either. */
  #judge(outcome: Prepared | Chosen): void {
    if (outcome.kind === "conflict") return;
    const reasons = outcome.kind === "no-majority" ? outcome.reasons : [];
    if (outcome.kind !== "no-majority") {
      this.#silence = "";
      this.#legacy = "";
    }
    this.#refusal = reasons.join("; ");
    this.#tell(reasons);
  }

  /** One event when the register fails this monitor and one when it serves again, whatever the reasons between. */
  #tell(reasons: readonly string[]): void {
    const why = this.#silence || this.#refusal;
    if (why !== "" && this.#told === "") this.#options.emit("-register", { reasons });
    if (why === "" && this.#told !== "") this.#options.emit("+register");
    this.#told = why;
  }
}

/** Of nodes that don't answer the number says enough; that they are another cluster's only a person can mend. */
function foreignCause(silent: ReadonlyMap<string, string>): string {
  const foreign = [...silent].filter(([, why]) => isForeign(why));
  if (foreign.length === 0) return "";
  const told = foreign.map(([name, why]) => `${name} ${why}`).join(", ");
  return `: ${told}; ${FOREIGN_REMEDY}`;
}

function pulseOf(value: RegisterValue | null): Pulse {
  return { epoch: value?.epoch ?? 0, heartbeat: value?.heartbeat ?? 0 };
}
