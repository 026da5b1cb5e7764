// term.ts: one monitor's time as alpha of one epoch: from its first chosen view until it gives way.
//
//   tick:  observe --> decide --> changed? write the view : renew the lease --chosen--> act
//                                       | no promise stands
//                                       +--> prepare again: still our epoch? go on : the term is over
//
// Invariants: no action unless the view that asks for it was chosen and the lease of that accept still stands; the term
// ends for good as soon as the register holds another epoch.
import type { ClusterConfig } from "../core/cluster.ts";
import type { Credentials } from "../core/credentials.ts";
import { addressOf } from "../core/cluster.ts";
import type { Request } from "../core/request.ts";
import type { View } from "../core/view.ts";
import type { Clock } from "../ports/clock.ts";
import type { OpenLink } from "../ports/redis-link.ts";
import type { Chosen, Proposer } from "../register/register.ts";
import { parseView } from "../status/parse-view.ts";
import { createActor, type Actor, type FenceTarget } from "./act/actor.ts";
import type { Rescuer } from "./act/rescue.ts";
import { actionsOf } from "./decide/actions.ts";
import { decide, type Decision } from "./decide/decide.ts";
import { leaseEndMs } from "./decide/election.ts";
import type { ActionMemory } from "./decide/handover-actions.ts";
import { attemptMsOf } from "./decide/handover.ts";
import type { SyncMarks } from "./decide/in-sync.ts";
import { NO_PLANS, type PlanMemory } from "./decide/planned.ts";
import { RULES, type Rules } from "./decide/rules.ts";
import { transitionsBetween } from "./decide/transitions.ts";
import { vacanciesAfter, type Vacancies } from "./decide/vacancies.ts";
import type { Emit } from "./emit.ts";
import type { Board } from "./observe/board.ts";
import type { Observer } from "./observe/observer.ts";

export interface TermOptions {
  readonly name: string;
  readonly config: () => ClusterConfig;
  readonly confDigest: () => string;
  readonly credentials: Credentials | undefined;
  readonly clock: Clock;
  readonly openLink: OpenLink;
  readonly rescuer?: Rescuer | undefined;
  readonly proposer: Proposer;
  readonly observer: Observer;
  readonly board: Board;
  readonly emit: Emit;
  /** Absent: those that hold. */
  readonly rules?: Rules | undefined;
}

export interface Term {
  readonly epoch: number;
  view(): View;
  /** One round. Answers why the term is over, or undefined while it goes on. */
  tick(): Promise<string | undefined>;
  /** Whether this alpha may act right now. */
  holdsLease(): boolean;
  /** What was decided last is not done yet: tick again soon. */
  isRestless(): boolean;
  end(): void;
}

type PreparedAgain =
  | { readonly kind: "prepared" }
  /** `over` says why the term is; undefined: try again. */
  | { readonly kind: "not"; readonly over: string | undefined };

/** Begins a term. `first` was chosen by an accept sent at `sentAtMs`; `before` is the view that it followed. */
export function beginTerm(
  options: TermOptions,
  first: View,
  before: View | null,
  sentAtMs: number,
): Term {
  return new RunningTerm(options, first, before, sentAtMs);
}

class RunningTerm implements Term {
  readonly epoch: number;
  readonly #options: TermOptions;
  readonly #actor: Actor;
  readonly #sinceMs: number;
  /** The last view known to be chosen. */
  #view: View;
  /** What the next decision starts from: the same, or after a new promise what the register holds. */
  #base: View;
  #marks: SyncMarks = new Map();
  #vacancies: Vacancies = new Map();
  #plans: PlanMemory = NO_PLANS;
  readonly #owed: Request[] = [];
  #leaseEndMs: number;
  #beatAtMs: number;
  #isPrepared = true;
  #isOver = false;
  #isRestless = false;
  #wasCutOff = false;
  #confTrouble = "";

  constructor(options: TermOptions, first: View, before: View | null, sentAtMs: number) {
    this.#options = options;
    this.epoch = first.epoch;
    this.#view = first;
    this.#base = first;
    this.#sinceMs = options.clock.nowMs();
    this.#beatAtMs = sentAtMs;
    this.#leaseEndMs = leaseEndMs(sentAtMs, this.#leaseMs);
    this.#vacancies = vacanciesAfter(new Map(), first, this.#sinceMs);
    const { rules = RULES } = options;
    this.#actor = createActor({
      monitor: options.name,
      epoch: first.epoch,
      leaseMs: this.#leaseMs,
      credentials: options.credentials,
      clock: options.clock,
      openLink: options.openLink,
      rescuer: options.rescuer,
      emit: options.emit,
      mayAct: () => !this.#isOver && rules.mayAct(options.clock.nowMs(), this.#leaseEndMs),
      onActed: (node) => {
        options.observer.poke(node);
      },
    });
    options.observer.lead(first);
    options.emit("+alpha", { epoch: first.epoch });
    this.#tell(before, first);
  }

  get #leaseMs(): number {
    return this.#options.config().settings.leaseMs;
  }

  view(): View {
    return this.#view;
  }

  holdsLease(): boolean {
    return !this.#isOver && this.#options.clock.nowMs() < this.#leaseEndMs;
  }

  isRestless(): boolean {
    return this.#isRestless;
  }

  end(): void {
    this.#isOver = true;
    this.#actor.close();
    this.#options.proposer.giveWay();
    this.#options.observer.lead(null);
  }

  async tick(): Promise<string | undefined> {
    if (!this.#isPrepared) {
      const outcome = await this.#prepareAgain();
      if (outcome.kind !== "prepared") return outcome.over;
    }
    const decision = this.#decide();
    const isChange = decision.view !== this.#base;
    const { clock } = this.#options;
    // News make the loop tick faster than the lease needs it.
    const isBeatDue = clock.nowMs() - this.#beatAtMs >= this.#leaseMs / 5 - 1;
    if (isChange || isBeatDue) {
      const sentAtMs = clock.nowMs();
      const chosen = await this.#propose(decision.view, isChange);
      if (!this.#take(chosen, sentAtMs)) return undefined;
    }
    await this.#follow(decision);
    this.#isRestless = isChange;
    return undefined;
  }

  #decide(): Decision {
    const { config, confDigest, observer, clock, rules } = this.#options;
    const decision = decide({
      view: this.#base,
      config: config(),
      digest: confDigest(),
      observed: observer.observations(),
      marks: this.#marks,
      nowMs: clock.nowMs(),
      alphaSinceMs: this.#sinceMs,
      wallTime: clock.wallTime(),
      quietSinceMs: this.#actor.quietSinceMs(),
      vacancies: this.#vacancies,
      pauses: this.#actor.pauses(),
      rescues: this.#actor.rescues(),
      plans: this.#plans,
      ...(rules === undefined ? {} : { rules }),
    });
    this.#noteTrouble(decision);
    return decision;
  }

  #propose(view: View, isChange: boolean): Promise<Chosen> {
    const { proposer } = this.#options;
    if (!isChange) return proposer.beat();
    const { epoch, revision } = view;
    return proposer.write({ body: JSON.stringify(view), epoch, revision });
  }

  /** Books the outcome of an accept; false when it was not chosen. */
  #take(chosen: Chosen, sentAtMs: number): boolean {
    if (chosen.kind !== "chosen") {
      this.#isPrepared = false;
      this.#isRestless = true;
      return false;
    }
    this.#beatAtMs = sentAtMs;
    this.#leaseEndMs = leaseEndMs(sentAtMs, this.#leaseMs);
    return true;
  }

  /** The view is chosen: say so, answer who asked for it, and carry it out. */
  async #follow(decision: Decision): Promise<void> {
    const { observer, emit } = this.#options;
    const before = this.#view;
    this.#view = decision.view;
    this.#base = decision.view;
    this.#vacancies = vacanciesAfter(this.#vacancies, decision.view, this.#options.clock.nowMs());
    this.#marks = decision.marks;
    this.#plans = decision.plans;
    observer.lead(decision.view);
    if (decision.view !== before) this.#tell(before, decision.view);
    if (decision.isCutOff) return;
    this.#actor.fence(this.#reachable(decision));
    const memory = { ...this.#actionMemory(), draining: decision.draining };
    this.#actor.act(actionsOf(decision.view, decision.standings, memory));
    for (const answer of decision.answers) {
      observer.forgetRequest(answer.id);
      emit("+answer", { request: answer.body, state: answer.state, message: answer.message });
    }
    this.#owed.push(...decision.answers);
    await this.#answer();
  }

  /** What no status node takes now is kept for the next tick: whoever asked is still waiting. */
  async #answer(): Promise<void> {
    for (const answer of this.#owed.splice(0)) {
      await this.#options.board.answerRequest(answer).catch(() => this.#owed.push(answer));
    }
  }

  #actionMemory(): ActionMemory {
    const { clock, config, rules } = this.#options;
    return {
      rules,
      pauses: this.#actor.pauses(),
      nowMs: clock.nowMs(),
      attemptMs: attemptMsOf(config().settings),
    };
  }

  #reachable(decision: Decision): FenceTarget[] {
    const targets: FenceTarget[] = [];
    for (const { name, partition, host, port } of decision.view.nodes) {
      if (partition === null || decision.standings.get(name)?.kind !== "up") continue;
      targets.push({ node: name, partition, host: addressOf(host), port });
    }
    return targets;
  }

  /**
   * The promise is gone: somebody prepared, or too few status nodes answered.
   * 1. The register still holds our epoch: nobody else has led since; what it holds is where we go on.
   * 2. Another epoch: the term is over.
   * 3. No promise to be had: over once the lease is, for others may lead by then.
   */
  async #prepareAgain(): Promise<PreparedAgain> {
    const prepared = await this.#options.proposer.prepare();
    if (prepared.kind === "prepared") {
      const { value } = prepared;
      if (value?.epoch !== this.epoch || value.body === null) {
        return { kind: "not", over: `epoch ${value?.epoch ?? 0} has begun` };
      }
      const held = parseView(value.body);
      this.#base = held.revision === this.#view.revision ? this.#view : held;
      // It may be a view of ours that only a minority accepted. An accept of now makes sure that it is chosen; before
      // that nothing is done or said because of it.
      this.#beatAtMs = -Infinity;
      this.#isPrepared = true;
      return { kind: "prepared" };
    }
    if (this.holdsLease()) return { kind: "not", over: undefined };
    const over =
      prepared.kind === "conflict"
        ? `${prepared.promised.proposer} asks for the lead`
        : `the lease ran out: ${prepared.reasons.join("; ")}`;
    return { kind: "not", over };
  }

  #tell(before: View | null, after: View): void {
    for (const { event, fields } of transitionsBetween(before, after)) {
      this.#options.emit(event, fields);
    }
  }

  #noteTrouble(decision: Decision): void {
    const { emit } = this.#options;
    if (decision.isCutOff !== this.#wasCutOff) emit(decision.isCutOff ? "+cut-off" : "-cut-off");
    this.#wasCutOff = decision.isCutOff;
    const { conf } = decision;
    const trouble = conf.kind === "same" || conf.kind === "adopted" ? "" : conf.why;
    if (trouble !== "" && trouble !== this.#confTrouble) {
      emit("-conf", { [conf.kind]: true, why: trouble });
    }
    this.#confTrouble = trouble;
  }
}
