// proposer.ts: one monitor's hand on the register: CASPaxos with a standing promise.
//
//   prepare() --all promise--> standing promise --write()/beat()--> chosen, next promise stands --> ...
//                                     |                 |
//                                     +-- giveWay()     +-- conflict, no-majority: no promise stands; prepare() again
//
// Invariants: a ballot is used for one accept round only, since the standing promise is taken away before it is spent;
// a majority counts over all status nodes; answers that come after a round was decided change nothing but the memory
// of who is empty. A refusal does not unchoose: a round ends in conflict only when a majority has become impossible.
import { assert } from "../core/errors.ts";
import { majorityOf } from "../core/cluster.ts";
import type { Clock } from "../ports/clock.ts";
import type { Random } from "../ports/random.ts";
import { compareBallots, isSameBallot } from "./ballot.ts";
import { gather } from "./gather.ts";
import type {
  Accepted,
  Acceptor,
  AcceptReply,
  AcceptRequest,
  Ballot,
  Chosen,
  Members,
  Prepared,
  Proposer,
} from "./register.ts";
import { judgePrepare, reasonsOf, type PrepareVerdict } from "./seeding.ts";
import { within } from "./within.ts";

export interface ProposerOptions {
  /** The monitor's name: the second half of its ballots. */
  readonly name: string;
  readonly cluster: string;
  /** All status nodes of twine.conf. */
  readonly acceptors: readonly Acceptor[];
  /** Makes incarnations that nobody else makes. */
  readonly random: Random;
  /** With a clock, a node that has not answered within answerMs (500) counts as unreachable. Without one the
      acceptors themselves must reject in time, as those of acceptors.ts do. */
  readonly clock?: Clock;
  readonly answerMs?: number;
  /** How many of so many status nodes choose a value; absent: a majority. */
  readonly quorumOf?: (statusNodeCount: number) => number;
}

interface Admission {
  readonly replaces: string | null;
  readonly incarnation: string;
}

/** The promise of `ballot` by a majority, and the newest value among them. */
interface Standing {
  readonly ballot: Ballot;
  readonly base: Accepted | null;
  readonly members: Members;
  readonly admissions: ReadonlyMap<string, Admission>;
}

interface Draft {
  readonly body: string;
  readonly epoch: number;
  readonly revision: number;
}

/** A proposer over `acceptors`. Its calls must not overlap; giveWay() may come at any time. */
export function createProposer(options: ProposerOptions): Proposer {
  const proposer = new RegisterProposer(options);
  return {
    prepare: () => proposer.prepare(),
    write: (value) => proposer.propose(value),
    beat: () => proposer.propose(null),
    giveWay: () => {
      proposer.giveWay();
    },
  };
}

const NOT_PREPARED = {
  kind: "no-majority",
  reasons: ["no promise stands: prepare first"],
} as const;

class RegisterProposer {
  readonly #name: string;
  readonly #cluster: string;
  readonly #acceptors: readonly Acceptor[];
  readonly #random: Random;
  /** How many status nodes promise and accept together. */
  readonly #quorum: number;
  readonly #bounded: <T>(answer: Promise<T>) => Promise<T>;
  /** The highest count seen anywhere; our next ballot exceeds it. */
  #countSeen = 0;
  #standing: Standing | null = null;
  #chosenBody: Ballot | null = null;
  /** Status nodes that answered an accept as empty or in another life: reason to prepare again. */
  #strangers = new Set<string>();
  /** Grows with giveWay(), so that a round under way at that moment leaves no promise behind. */
  #yields = 0;

  constructor(options: ProposerOptions) {
    const { name, cluster, acceptors, random, clock, answerMs = 500 } = options;
    const { quorumOf = majorityOf } = options;
    this.#quorum = quorumOf(acceptors.length);
    this.#bounded = (answer) => (clock === undefined ? answer : within(clock, answerMs, answer));
    this.#name = name;
    this.#cluster = cluster;
    this.#acceptors = acceptors;
    this.#random = random;
  }

  giveWay(): void {
    this.#standing = null;
    this.#yields++;
  }

  async prepare(): Promise<Prepared> {
    const yields = this.#yields;
    this.#standing = null;
    this.#strangers.clear();
    let [ballot, verdict] = await this.#prepareRound();
    if (verdict.kind === "first-start") {
      await this.#stamp(verdict.unstamped);
      [ballot, verdict] = await this.#prepareRound();
    }
    if (verdict.kind === "first-start") {
      const reasons = ["a status node was emptied, or lost its answer, during the first start"];
      return { kind: "no-majority", reasons };
    }
    if (verdict.kind === "conflict") this.#saw(verdict.promised);
    if (verdict.kind !== "prepared") return verdict;
    const { base, members, strangers } = verdict;
    const admissions = new Map(
      [...strangers].map(([name, replaces]) => [name, { replaces, incarnation: this.#newLife() }]),
    );
    if (this.#yields === yields) this.#standing = { ballot, base, members, admissions };
    return { kind: "prepared", value: base?.value ?? null };
  }

  /** One accept round: a new body, or with null the standing one and an advanced heartbeat. */
  async propose(draft: Draft | null): Promise<Chosen> {
    if (this.#strangers.size > 0 && this.#standing !== null) {
      const failure = await this.#prepareAgain(this.#standing);
      if (failure !== undefined) return failure;
    }
    const standing = this.#standing;
    const yields = this.#yields;
    this.#standing = null;
    if (standing === null) return NOT_PREPARED;
    const accepted = acceptedOf(standing, draft);
    const next = this.#nextBallot();
    const chosen = await this.#acceptRound(accepted, next, standing.admissions);
    if (chosen.kind === "conflict") this.#saw(chosen.promised);
    if (chosen.kind !== "chosen") return chosen;
    this.#chosenBody = accepted.bodyBallot;
    this.#seed(accepted, standing.admissions);
    if (this.#yields === yields) {
      const { members } = accepted;
      this.#standing = { ballot: next, base: accepted, members, admissions: new Map() };
    }
    return chosen;
  }

  /** Rule 2 of seeding.ts wants a whole round after the emptiness was seen; ours ends early if another came between. */
  async #prepareAgain(before: Standing): Promise<Chosen | undefined> {
    const prepared = await this.prepare();
    if (prepared.kind !== "prepared") return prepared;
    const base = this.#standing?.base ?? null;
    if (isSameBallot(base?.ballot ?? null, before.base?.ballot ?? null)) return undefined;
    this.#standing = null;
    return { kind: "conflict", promised: base?.ballot ?? before.ballot };
  }

  async #prepareRound(): Promise<[Ballot, PrepareVerdict]> {
    const ballot = this.#nextBallot();
    const nodes = this.#acceptors.map(({ name }) => name);
    const verdict = await gather(
      this.#acceptors,
      (acceptor) => this.#bounded(acceptor.prepare({ ballot })),
      (replies, errors) =>
        judgePrepare({ cluster: this.#cluster, nodes, quorum: this.#quorum, replies, errors }),
      (_name, reply) => {
        if (reply.kind === "promised") this.#saw(reply.accepted?.ballot ?? null);
        if (reply.kind === "refused") this.#saw(reply.promised);
      },
    );
    return [ballot, verdict];
  }

  #acceptRound(
    accepted: Accepted,
    next: Ballot,
    admissions: ReadonlyMap<string, Admission>,
  ): Promise<Chosen> {
    const { ballot, bodyBallot, value, members } = accepted;
    const { heartbeat, epoch, revision } = value;
    const isNewBody = isSameBallot(ballot, bodyBallot);
    const body = value.body ?? "";
    const common = { ballot, bodyBallot, heartbeat, epoch, revision, members, next };
    const bare: AcceptRequest = { ...common, chosen: this.#chosenBody };
    const full: AcceptRequest = { ...bare, body };
    const ask = async (acceptor: Acceptor): Promise<AcceptReply> => {
      const reply = await acceptor.accept(isNewBody ? full : bare);
      // The same value under the same ballot, now with the body that this node missed.
      return reply.kind === "needs-body" ? acceptor.accept(full) : reply;
    };
    return gather(
      this.#acceptors,
      (acceptor) => this.#bounded(ask(acceptor)),
      (replies, errors) => this.#judgeAccept(accepted, replies, errors),
      (name, reply) => {
        if (reply.kind === "refused") this.#saw(reply.promised);
        const isEmpty = reply.kind === "unstamped" || reply.kind === "stranger";
        if (isEmpty && !admissions.has(name)) this.#strangers.add(name);
      },
    );
  }

  #judgeAccept(
    { value }: Accepted,
    replies: ReadonlyMap<string, AcceptReply>,
    errors: ReadonlyMap<string, string>,
  ): Chosen | undefined {
    const nodes = this.#acceptors.map(({ name }) => name);
    const quorum = this.#quorum;
    const all = [...replies.values()];
    const count = all.filter((reply) => reply.kind === "accepted").length;
    if (count >= quorum) return { kind: "chosen", value };
    const pending = nodes.length - replies.size - errors.size;
    if (count + pending >= quorum) return undefined;
    const refusals = all.flatMap((reply) => (reply.kind === "refused" ? [reply.promised] : []));
    const promised = refusals.toSorted(compareBallots).at(-1);
    if (promised !== undefined) return { kind: "conflict", promised };
    const missing = nodes.filter((name) => replies.get(name)?.kind !== "accepted");
    return { kind: "no-majority", reasons: reasonsOf(this.#cluster, missing, replies, errors) };
  }

  async #stamp(unstamped: readonly string[]): Promise<void> {
    const nodes = this.#acceptors.filter(({ name }) => unstamped.includes(name));
    const request = { replaces: null, accepted: null };
    const seeds = nodes.map((node) => node.seed({ ...request, incarnation: this.#newLife() }));
    // A failed stamp shows in the prepare that follows.
    await Promise.allSettled(seeds.map((seed) => this.#bounded(seed)));
  }

  #seed(accepted: Accepted, admissions: ReadonlyMap<string, Admission>): void {
    for (const acceptor of this.#acceptors) {
      const admission = admissions.get(acceptor.name);
      if (admission === undefined) continue;
      // Nobody waits for it: a seed that failed shows as a stranger in the next round, and gets a new incarnation.
      acceptor.seed({ ...admission, accepted }).catch(() => undefined);
    }
  }

  #nextBallot(): Ballot {
    this.#countSeen++;
    return { count: this.#countSeen, proposer: this.#name };
  }

  #saw(ballot: Ballot | null): void {
    this.#countSeen = Math.max(this.#countSeen, ballot?.count ?? 0);
  }

  #newLife(): string {
    const digits = () => Math.floor(this.#random.next() * 2 ** 32).toString(16);
    return `${this.#name}.${digits()}${digits()}`;
  }
}

function acceptedOf(
  { ballot, base, members, admissions }: Standing,
  draft: Draft | null,
): Accepted {
  const lives = [...admissions].map(([name, { incarnation }]) => [name, incarnation] as const);
  const voters = { ...members, ...Object.fromEntries(lives) };
  const heartbeat = (base?.value.heartbeat ?? 0) + 1;
  if (draft === null) {
    assert(base !== null, "a beat follows a write: the register holds no body yet");
    const value = { ...base.value, heartbeat };
    return { ballot, bodyBallot: base.bodyBallot, value, members: voters };
  }
  const isForward =
    base === null ||
    draft.epoch > base.value.epoch ||
    (draft.epoch === base.value.epoch && draft.revision > base.value.revision);
  assert(isForward, "a new body has a higher epoch, or the same epoch and a higher revision");
  return { ballot, bodyBallot: ballot, value: { ...draft, heartbeat }, members: voters };
}
