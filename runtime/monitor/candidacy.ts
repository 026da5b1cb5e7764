// candidacy.ts: a monitor that does not lead: watches the alpha's heartbeat and tries to become alpha when it stops.
// election.ts holds the rules; this file asks the register and keeps what was seen.
import { majorityOf } from "../core/cluster.ts";
import type { View } from "../core/view.ts";
import type { Random } from "../ports/random.ts";
import type { RegisterReading, RegisterValue } from "../register/register.ts";
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
import { beginTerm, type Term, type TermOptions } from "./term.ts";

export interface CandidacyOptions extends TermOptions {
  readonly random: Random;
  readonly read: (withBody: boolean) => Promise<RegisterReading>;
}

export interface Candidacy {
  /** One look at the register; a term when this monitor has just become alpha. */
  tick(): Promise<Term | undefined>;
  /** After a term: watch anew. */
  restart(): void;
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
  #trouble = "";
  #clash = "";

  constructor(options: CandidacyOptions) {
    this.#options = options;
  }

  get #leaseMs(): number {
    return this.#options.config().settings.leaseMs;
  }

  async tick(): Promise<Term | undefined> {
    const watch = await this.#look();
    const { clock } = this.#options;
    if (!mayContend(watch, clock.nowMs(), this.#leaseMs)) return undefined;
    return this.#contend(watch);
  }

  restart(): void {
    this.#watch = undefined;
  }

  view(): View | null {
    return this.#view;
  }

  trouble(): string {
    return this.#trouble === "" ? this.#clash : this.#trouble;
  }

  isAlphaAlive(): boolean {
    const watch = this.#watch;
    if (watch === undefined || watch.pulse.epoch === 0) return false;
    return this.#options.clock.nowMs() - watch.sinceMs <= this.#leaseMs;
  }

  async #look(): Promise<Watch> {
    const { clock, random } = this.#options;
    const reading = await this.#options.read(false);
    await this.#keepView(reading.value);
    const pulse: Pulse = { epoch: reading.value?.epoch ?? 0, heartbeat: reading.heartbeat };
    const nowMs = clock.nowMs();
    this.#watch =
      this.#watch === undefined
        ? startWatch(pulse, nowMs, this.#leaseMs, random.next())
        : watchOn(this.#watch, pulse, nowMs, this.#leaseMs, random.next());
    const answered = reading.answered.length;
    const needed = majorityOf(answered + reading.silent.size);
    const reasons = [...reading.silent].map(([node, why]) => `${node}: ${why}`);
    if (answered >= needed) this.#note("", []);
    else this.#note(`${answered} of the ${needed} status nodes needed answer`, reasons);
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
   * 3. The keys lie by another hash than this twine.conf says, or it names other status nodes: must not lead.
   * 4. Otherwise this monitor's first value is the next epoch with itself as alpha.
   */
  async #contend(watched: Watch): Promise<Term | undefined> {
    const { proposer, clock, random } = this.#options;
    const prepared = await proposer.prepare();
    if (prepared.kind !== "prepared") {
      if (prepared.kind === "no-majority")
        this.#note(prepared.reasons.join("; "), prepared.reasons);
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
    const clash = before === null ? undefined : leadClash(before, this.#options.config());
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
    if (chosen.kind !== "chosen") {
      this.#backOff(watched);
      return undefined;
    }
    this.#note("", []);
    this.#view = first;
    return beginTerm(this.#options, first, before, sentAtMs);
  }

  /** After an attempt that came to nothing: not all contenders try again at the same moment. */
  #backOff(watched: Watch): void {
    const spreadMs = this.#leaseMs * (0.2 + 0.8 * this.#options.random.next());
    const sinceMs = this.#options.clock.nowMs() - this.#leaseMs;
    this.#watch = { ...watched, sinceMs, spreadMs };
  }

  #note(why: string, reasons: readonly string[]): void {
    if (why !== "" && this.#trouble === "") this.#options.emit("-register", { reasons });
    if (why === "" && this.#trouble !== "") this.#options.emit("+register");
    this.#trouble = why;
  }
}

function pulseOf(value: RegisterValue | null): Pulse {
  return { epoch: value?.epoch ?? 0, heartbeat: value?.heartbeat ?? 0 };
}
