// leadership.ts: one monitor as alpha of one epoch, from its first chosen view until its leadership ends.
//
//   tick:  observe --> decide --> changed? write the view : renew the lease --chosen--> act
//                                       | the promise is lost
//                                       +--> prepare again: the same epoch? continue : the leadership has ended
//
// Invariants: an action is sent only if the view that requires it was chosen and the lease of that accept has not ended.
// The leadership ends for good when the register holds another epoch.
import type { ClusterConfig } from "../core/cluster.ts";
import type { Hashing } from "../core/hashing.ts";
import type { Credentials } from "../core/credentials.ts";
import { addressOf } from "../core/cluster.ts";
import type { Request } from "../core/request.ts";
import type { NodeView, PartitionView, View } from "../core/view.ts";
import type { Clock } from "../ports/clock.ts";
import type { OpenLink } from "../ports/redis-link.ts";
import type { Chosen, Proposer } from "../register/register.ts";
import { parseView } from "../core/parse-view.ts";
import type { OpenCutLinks } from "./act/cut-links.ts";
import { createActor, type Actor, type FenceTarget } from "./act/actor.ts";
import type { Rescuer } from "../replication/rescue.ts";
import { actionsOf } from "./decide/actions.ts";
import { decide, type Decision, type MailOutcome } from "./decide/decide.ts";
import { leaseEndMs } from "./decide/failover/election.ts";
import type { ActionMemory } from "./decide/handover/handover-actions.ts";
import { attemptMsOf } from "./decide/handover/handover.ts";
import type { SyncMarks } from "./decide/nodes/in-sync.ts";
import { NO_PLANS, type PlanMemory } from "./decide/handover/planned.ts";
import { RULES, type Rules } from "./decide/rules.ts";
import type { BackupOutcome } from "./decide/views/backup-view.ts";
import { transitionsBetween } from "./decide/views/transitions.ts";
import {
  heldSinceAfter,
  withoutMasterSinceAfter,
  type HeldSince,
  type WithoutMasterSince,
} from "./decide/views/without-master.ts";
import type { Adopted } from "./adopted.ts";
import type { Emit } from "./emit.ts";
import type { Quiet } from "./quiet.ts";
import type { SharedHashes } from "./observe/shared-hashes.ts";
import type { Observer } from "./observe/observer.ts";

export interface LeadershipOptions {
  readonly name: string;
  readonly config: () => ClusterConfig;
  readonly confDigest: () => string;
  readonly hashing: () => Hashing;
  readonly adopted: Adopted;
  readonly credentials: Credentials | undefined;
  readonly clock: Clock;
  readonly openLink: OpenLink;
  readonly openCutLink?: OpenCutLinks | undefined;
  readonly rescuer?: Rescuer | undefined;
  readonly proposer: Proposer;
  readonly observer: Observer;
  readonly hashes: SharedHashes;
  readonly emit: Emit;
  readonly quiet: Quiet;
  /** The result of the last mail; undefined while unknown. */
  readonly mail: () => MailOutcome | undefined;
  /** The state of the backups; undefined until this alpha has looked. */
  readonly backup: () => BackupOutcome | undefined;
  /** Absent: RULES. */
  readonly rules?: Rules | undefined;
}

export interface Leadership {
  readonly epoch: number;
  view(): View;
  /** One round. Resolves to the reason why the leadership has ended, or to undefined while it continues. */
  tick(): Promise<string | undefined>;
  /** Whether this alpha may act now. */
  holdsLease(): boolean;
  /** The last decision changed the view or was not chosen: tick again soon. */
  isRestless(): boolean;
  /** Clients wait for the end of a handover. */
  isHandingOver(): boolean;
  end(): void;
}

type PreparedAgain =
  | { readonly kind: "prepared" }
  /** `over`: why the leadership has ended; undefined: try again. */
  | { readonly kind: "not"; readonly over: string | undefined };

/** Begins to lead. `first` was chosen by an accept that was sent at `sentAtMs`; `before` is the view before it. */
export function startLeading(
  options: LeadershipOptions,
  first: View,
  before: View | null,
  sentAtMs: number,
): Leadership {
  return new RunningLeadership(options, first, before, sentAtMs);
}

class RunningLeadership implements Leadership {
  readonly epoch: number;
  readonly #options: LeadershipOptions;
  readonly #actor: Actor;
  readonly #sinceMs: number;
  /** The last view known to be chosen. */
  #view: View;
  /** The input of the next decision: #view, or after a new promise the register's view. */
  #base: View;
  #marks: SyncMarks = new Map();
  #withoutMasterSince: WithoutMasterSince = new Map();
  #heldSince: HeldSince = new Map();
  #plans: PlanMemory = NO_PLANS;
  readonly #owed: Request[] = [];
  #leaseEndMs: number;
  #beatAtMs: number;
  #isPrepared = true;
  #isOver = false;
  #isRestless = false;
  #wasCutOff = false;
  #confTrouble = "";

  constructor(options: LeadershipOptions, first: View, before: View | null, sentAtMs: number) {
    this.#options = options;
    this.epoch = first.epoch;
    this.#view = first;
    this.#base = first;
    this.#sinceMs = options.clock.nowMs();
    this.#beatAtMs = sentAtMs;
    this.#leaseEndMs = leaseEndMs(sentAtMs, this.#leaseMs);
    this.#withoutMasterSince = withoutMasterSinceAfter(new Map(), first, this.#sinceMs);
    this.#heldSince = heldSinceAfter(new Map(), first, this.#sinceMs);
    const { rules = RULES } = options;
    this.#actor = createActor({
      monitor: options.name,
      epoch: first.epoch,
      leaseMs: this.#leaseMs,
      credentials: options.credentials,
      clock: options.clock,
      openLink: options.openLink,
      openCutLink: options.openCutLink,
      rescuer: options.rescuer,
      mayBePaused: mayBePaused(first),
      emit: options.emit,
      quiet: options.quiet,
      rules,
      mayAct: () => !this.#isOver && rules.mayAct(options.clock.nowMs(), this.#leaseEndMs),
      onActed: (node) => {
        this.#askAgain(node);
      },
    });
    options.observer.lead(first);
    options.emit("+alpha", { epoch: first.epoch });
    this.#report(before, first);
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

  isHandingOver(): boolean {
    return this.#view.partitions.some(isHandedOver);
  }

  end(): void {
    this.#isOver = true;
    this.#actor.close();
    this.#options.proposer.releasePromise();
    this.#options.observer.lead(null);
  }

  async tick(): Promise<string | undefined> {
    if (!this.#isPrepared) {
      const outcome = await this.#prepareAgain();
      if (outcome.kind !== "prepared") return outcome.over;
    }
    const decision = this.#decide();
    if (decision.doubt.kind === "refuted") return decision.doubt.why;
    const isChange = decision.view !== this.#base;
    const { clock } = this.#options;
    // News make the loop tick more often than the lease has to be renewed.
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
    const [mail, backup] = [this.#options.mail(), this.#options.backup()];
    const { adopted, hashes, config, confDigest, hashing, observer, clock, rules } = this.#options;
    // The last step of a resharding adopts the new file.
    if (this.#base.reshard) adopted.keepNext(this.#base.reshard.conf);
    const decision = decide({
      view: this.#base,
      config: config(),
      adopted: adopted.otherThanOwn(this.#base),
      digest: confDigest(),
      hashing: hashing(),
      malformed: hashes.malformed?.() ?? [],
      ...(mail === undefined ? {} : { mail }),
      ...(backup === undefined ? {} : { backup }),
      observed: observer.observations(),
      marks: this.#marks,
      nowMs: clock.nowMs(),
      alphaSinceMs: this.#sinceMs,
      wallTime: clock.wallTime(),
      acknowledgedAtMs: this.#actor.acknowledgedAtMs(),
      withoutMasterSince: this.#withoutMasterSince,
      heldSince: this.#heldSince,
      pauses: this.#actor.pauses(),
      rescues: this.#actor.rescues(),
      plans: this.#plans,
      cutOutcome: this.#actor.cutOutcome(),
      ...(rules === undefined ? {} : { rules }),
    });
    this.#noteTrouble(decision);
    return decision;
  }

  #propose(view: View, isChange: boolean): Promise<Chosen> {
    const { proposer } = this.#options;
    if (!isChange) return proposer.beat();
    const { epoch, revision } = view;
    return proposer.write({
      body: JSON.stringify(view),
      epoch,
      revision,
      ...this.#adoptedConf(view),
    });
  }

  /** Written beside the view if this monitor knows the adopted file; otherwise the stored file stays. */
  #adoptedConf(view: View): { conf?: string } {
    const conf = this.#options.adopted.textOf(view);
    return conf === undefined ? {} : { conf };
  }

  /** Records the result of an accept; false when it was not chosen. */
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

  /** The view is chosen: emits its events, carries out its actions, and answers requests. */
  async #follow(decision: Decision): Promise<void> {
    const { observer, emit } = this.#options;
    const before = this.#view;
    this.#view = decision.view;
    this.#base = decision.view;
    const nowMs = this.#options.clock.nowMs();
    const { view } = decision;
    this.#withoutMasterSince = withoutMasterSinceAfter(this.#withoutMasterSince, view, nowMs);
    this.#heldSince = heldSinceAfter(this.#heldSince, view, nowMs);
    this.#marks = decision.marks;
    this.#plans = decision.plans;
    observer.lead(decision.view);
    if (decision.view !== before) this.#report(before, decision.view);
    if (decision.doubt.kind !== "none") return;
    this.#actor.fence(this.#reachable(decision));
    const { draining, takingOver } = decision;
    const memory = { ...this.#actionMemory(), draining, takingOver };
    this.#actor.act(actionsOf(decision.view, decision.nodeHealth, memory));
    this.#beginCut(decision.view);
    for (const answer of decision.answers) {
      observer.forgetRequest(answer.id);
      emit("+answer", { request: answer.body, state: answer.state, message: answer.message });
    }
    this.#owed.push(...decision.answers);
    await this.#answer();
  }

  /** Answers that no status node accepts now are sent again in the next tick: the tool is still waiting. */
  async #answer(): Promise<void> {
    for (const answer of this.#owed.splice(0)) {
      await this.#options.hashes.answerRequest(answer).catch(() => this.#owed.push(answer));
    }
  }

  #actionMemory(): ActionMemory {
    const { adopted, clock, config, rules } = this.#options;
    return {
      rules,
      pauses: this.#actor.pauses(),
      nowMs: clock.nowMs(),
      attemptMs: attemptMsOf((adopted.otherThanOwn(this.#base) ?? config()).settings),
    };
  }

  /** After an action on a node; on one that hands over, both are compared next. */
  #askAgain(node: string): void {
    const { observer } = this.#options;
    observer.trigger(node);
    for (const { handover } of this.#view.partitions) {
      if (handover?.from === node) observer.trigger(handover.to);
    }
  }

  #reachable(decision: Decision): FenceTarget[] {
    return decision.view.nodes
      .filter(({ name }) => decision.nodeHealth.get(name)?.kind === "up")
      .flatMap(targetOf);
  }

  #beginCut({ cut, nodes }: View): void {
    if (cut?.epoch !== this.epoch) return;
    const masters = cut.masters.flatMap((name) => nodes.filter((node) => node.name === name));
    this.#actor.cut(cut.id, masters.flatMap(targetOf));
  }

  /**
   * The promise is lost: another monitor prepared, or too few status nodes answered.
   * 1. The register still holds this epoch: no other monitor has led since; continue from the register's view.
   * 2. Another epoch: the leadership has ended.
   * 3. No promise: it ends when the lease has ended, because another monitor may lead by then.
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
      // It may be a view of this alpha that only a minority accepted. A new accept makes sure that it is chosen; before
      // that it causes no action and no event.
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

  #report(before: View | null, after: View): void {
    for (const { event, fields } of transitionsBetween(before, after)) {
      this.#options.emit(event, fields);
    }
  }

  #noteTrouble(decision: Decision): void {
    const { emit } = this.#options;
    const { doubt } = decision;
    const isCutOff = doubt.kind !== "none";
    if (isCutOff !== this.#wasCutOff) {
      if (isCutOff) emit("+cut-off", { why: doubt.why });
      else emit("-cut-off");
    }
    this.#wasCutOff = isCutOff;
    const { conf } = decision;
    const trouble = conf.kind === "same" || conf.kind === "adopted" ? "" : conf.why;
    if (trouble !== "" && trouble !== this.#confTrouble) {
      emit("-conf", { [conf.kind]: true, why: trouble });
    }
    this.#confTrouble = trouble;
  }
}

function isHandedOver({ handover }: PartitionView): boolean {
  return (handover ?? null) !== null;
}

function targetOf({ name: node, partition, host, port }: NodeView): FenceTarget[] {
  return partition === null ? [] : [{ node, partition, host: addressOf(host), port }];
}

/** All data nodes except masters that serve and hand nothing over: a pause of those was set by hand. On the other nodes a
    pause may be left from a handover or the rescue of a rogue master. During a cut or a resharding it may be on
    every master. */
function mayBePaused({ nodes, partitions, cut, reshard }: View): Set<string> {
  const isCutting = (cut ?? null) !== null || (reshard ?? null) !== null;
  const serving = partitions.flatMap(({ master, handover }) =>
    isCutting || master === null || handover?.from === master ? [] : [master],
  );
  const names = nodes.filter(({ kind }) => kind === "data").map(({ name }) => name);
  return new Set(names.filter((name) => !serving.includes(name)));
}
