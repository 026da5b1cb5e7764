// candidacy.ts: a monitor that does not lead: watches the alpha's heartbeat and tries to become alpha when it stops.
// election.ts has the rules; this file reads the register and keeps the state.
import { majorityOf } from "../core/cluster.ts";
import type { Hashing } from "../core/hashing.ts";
import type { View } from "../core/view.ts";
import type { Random } from "../ports/random.ts";
import { failureText, type Failures } from "../register/gather.ts";
import { FOREIGN_REMEDY } from "../register/read.ts";
import type { Chosen, Prepared, RegisterReading, RegisterValue } from "../register/register.ts";
import { parseView } from "../core/parse-view.ts";
import { followsHashing } from "../core/reshard.ts";
import {
  isNewer,
  mayContend,
  startWatch,
  watchOn,
  type Heartbeat,
  type Watch,
} from "./decide/failover/election.ts";
import { leadConflict } from "./decide/views/adopt-conf.ts";
import { firstView, inheritedView } from "./decide/views/first-view.ts";
import type { Membership } from "./membership.ts";
import { startLeading, type Leadership, type LeadershipOptions } from "./leadership.ts";

export interface CandidacyOptions extends LeadershipOptions {
  readonly random: Random;
  readonly membership: Membership;
  readonly read: (withBody: boolean) => Promise<RegisterReading>;
}

export interface Candidacy {
  /** Reads the register once; resolves to the leadership when this monitor has just become alpha. */
  tick(): Promise<Leadership | undefined>;
  /** Starts again after a leadership. `trouble`: the problem when it ended, or empty. It is reported until the register
      serves this monitor again or another monitor leads, so that the time between does not look good. */
  restart(trouble: string): void;
  /** The last view that was read. */
  view(): View | null;
  /** Whether the heartbeat changed within the last lease; also true for a lease after the first reading. */
  isAlphaAlive(): boolean;
  /** Why this monitor can't do its work now; empty when it can. */
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
  /** Why the nodes that answer gave no promise or accepted no view; kept until one of the two worked, or another leads. */
  #refusal = "";
  #reported = "";
  #conflict = "";
  /** The problem when the last leadership ended. */
  #legacy = "";

  constructor(options: CandidacyOptions) {
    this.#options = options;
  }

  get #leaseMs(): number {
    return this.#options.config().settings.leaseMs;
  }

  async tick(): Promise<Leadership | undefined> {
    const watch = await this.#look();
    const { clock, membership } = this.#options;
    if (!membership.isMember()) return undefined;
    // A monitor that most data nodes don't answer leads only when no other monitor does.
    const handicapMs = this.#options.observer.isCutOff() ? 3 * this.#leaseMs : 0;
    if (!mayContend(watch, clock.nowMs() - handicapMs, this.#leaseMs)) return undefined;
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
    return this.#silence || this.#refusal || this.#conflict || this.#legacy;
  }

  isAlphaAlive(): boolean {
    const watch = this.#watch;
    if (watch === undefined || watch.heartbeat.epoch === 0) return false;
    return this.#options.clock.nowMs() - watch.sinceMs < this.#leaseMs;
  }

  async #look(): Promise<Watch> {
    const { clock, random } = this.#options;
    const reading = await this.#options.read(false);
    await this.#keepView(reading.value);
    const heartbeat: Heartbeat = { epoch: reading.value?.epoch ?? 0, ballot: reading.ballot };
    const nowMs = clock.nowMs();
    const before = this.#watch;
    this.#watch =
      before === undefined
        ? startWatch(heartbeat, nowMs, this.#leaseMs, random.next())
        : watchOn(before, heartbeat, nowMs, this.#leaseMs, random.next());
    // A heartbeat changes only with the promise of a majority.
    if (before !== undefined && isNewer(heartbeat, before.heartbeat)) {
      this.#refusal = "";
      this.#legacy = "";
    }
    const answered = reading.answered.length;
    const needed = majorityOf(answered + reading.silent.size);
    const isTold = reading.value === null || this.#view !== null;
    if (answered >= needed && isTold) this.#options.membership.judge(this.#view);
    const reasons = [...reading.silent.values()].map(failureText);
    this.#silence =
      answered >= needed
        ? ""
        : `${answered} of the ${needed} status nodes needed answer${foreignCause(reading.silent)}`;
    this.#report(reasons);
    return this.#watch;
  }

  /** A body may have twenty thousand bytes, and is checked five times a second: it is read only when it has changed. */
  async #keepView(value: RegisterValue | null): Promise<void> {
    if (value === null) return;
    const known = this.#view;
    if (value.revision === known?.revision && value.epoch === known.epoch) return;
    const body = (await this.#options.read(true)).value?.body ?? null;
    if (body !== null) this.#view = parseView(body);
  }

  /**
   * 1. No promise of a majority: try again later.
   * 2. A newer heartbeat than the watched one: another monitor leads; give way and continue to watch.
   * 3. The view is another cluster's, or has another hashing or other status nodes than this twine.conf: must not lead.
   * 4. Otherwise this monitor's first value is the next epoch with itself as alpha. It leads by the adopted twine.conf, so
   *    it reads that first when its own file is another one.
   */
  async #contend(watched: Watch): Promise<Leadership | undefined> {
    const { proposer, clock, random } = this.#options;
    const prepared = await proposer.prepare();
    this.#judge(prepared);
    if (prepared.kind !== "prepared") {
      this.#backOff(watched);
      return undefined;
    }
    const { value, ballot } = prepared;
    const heartbeat: Heartbeat = { epoch: value?.epoch ?? 0, ballot };
    if (isNewer(heartbeat, watched.heartbeat)) {
      proposer.releasePromise();
      this.#watch = startWatch(heartbeat, clock.nowMs(), this.#leaseMs, random.next());
      return undefined;
    }
    const before = value === null || value.body === null ? null : parseView(value.body);
    const { membership, config, hashing } = this.#options;
    membership.judge(before);
    if (!membership.isMember()) {
      proposer.releasePromise();
      this.#backOff(watched);
      return undefined;
    }
    const conflict = before === null ? undefined : leadConflict(before, config(), hashing());
    if (conflict !== undefined && this.#conflict !== conflict) {
      this.#options.emit("-conf", { refused: true, why: conflict });
    }
    this.#conflict = conflict ?? "";
    if (conflict === undefined) {
      await this.#options.adopted.learn(before);
      return this.#write(before, watched);
    }
    proposer.releasePromise();
    this.#backOff(watched);
    return undefined;
  }

  async #write(before: View | null, watched: Watch): Promise<Leadership | undefined> {
    const { adopted, clock, config, confDigest, hashing, name, proposer } = this.#options;
    const wallTime = clock.wallTime();
    const first =
      before === null
        ? firstView(config(), confDigest(), name, wallTime, hashing())
        : {
            ...inheritedView(before, name, wallTime),
            hashing: inheritedHashing(before, hashing()),
          };
    const { epoch, revision } = first;
    const sentAtMs = clock.nowMs();
    const conf = adopted.textOf(first);
    const draft = { body: JSON.stringify(first), epoch, revision };
    const chosen = await proposer.write(conf === undefined ? draft : { ...draft, conf });
    this.#judge(chosen);
    if (chosen.kind !== "chosen") {
      this.#backOff(watched);
      return undefined;
    }
    this.#view = first;
    return startLeading(this.#options, first, before, sentAtMs);
  }

  /** After a failed attempt: a random pause, so that contenders don't try again at the same moment. */
  #backOff(watched: Watch): void {
    const spreadMs = this.#leaseMs * (0.2 + 0.8 * this.#options.random.next());
    const sinceMs = this.#options.clock.nowMs() - this.#leaseMs;
    this.#watch = { ...watched, sinceMs, spreadMs };
  }

  /** A conflict proves nothing: another proposer was faster, and may have had no majority either. */
  #judge(outcome: Prepared | Chosen): void {
    if (outcome.kind === "conflict") return;
    const reasons = outcome.kind === "no-majority" ? outcome.reasons : [];
    if (outcome.kind !== "no-majority") {
      this.#silence = "";
      this.#legacy = "";
    }
    this.#refusal = reasons.join("; ");
    this.#report(reasons);
  }

  /** One event when the register fails this monitor, and one when it works again, whatever the reasons between. */
  #report(reasons: readonly string[]): void {
    const why = this.#silence || this.#refusal;
    if (why !== "" && this.#reported === "") this.#options.emit("-register", { reasons });
    if (why === "" && this.#reported !== "") this.#options.emit("+register");
    this.#reported = why;
  }
}

/** The own one fills in what an older version did not record; one from before a resharding must not. */
function inheritedHashing(before: View, own: Hashing): Hashing {
  return before.hashing !== undefined && followsHashing(before, own) ? before.hashing : own;
}

/** Silent nodes are only counted, but nodes of another cluster are named, because only a person can correct that. */
function foreignCause(silent: Failures): string {
  const foreign = [...silent.values()].filter(({ kind }) => kind === "foreign");
  if (foreign.length === 0) return "";
  const reported = foreign.map(({ node, cause }) => `${node} ${cause.message}`).join(", ");
  return `: ${reported}; ${FOREIGN_REMEDY}`;
}
