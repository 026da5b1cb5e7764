// proposer.ts: a monitor's proposer for the status register: CASPaxos with a held promise.
//
//   prepare() --majority promises--> held promise --write()/beat()--> chosen, next promise held --> ...
//                                     |                 |
//                                     +-- releasePromise()     +-- conflict, no-majority: no promise; prepare() again
//
// Invariants: a ballot is used for only one accept round, because the held promise is removed before it is used. A
// majority counts over all status nodes. Replies after a round was decided change only the set of known empty nodes. One
// refusal does not end a round: it ends in conflict only when a majority has become impossible.
import { assert } from "../core/errors.ts";
import { majorityOf } from "../core/cluster.ts";
import type { Clock } from "../ports/clock.ts";
import type { Random } from "../ports/random.ts";
import { compareBallots, isSameBallot } from "./ballot.ts";
import { gather, type Failures } from "./gather.ts";
import type {
  Accepted,
  Acceptor,
  AcceptReply,
  AcceptRequest,
  Ballot,
  Chosen,
  Draft,
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
  /** Makes unique incarnations. */
  readonly random: Random;
  /** With a clock, a node without a reply within answerMs (500) is unreachable. Without one, the acceptors themselves
      must reject in time, as those of acceptors.ts do. */
  readonly clock?: Clock;
  readonly answerMs?: number;
  /** How many of that many status nodes choose a value. Absent: a majority. */
  readonly quorumOf?: (statusNodeCount: number) => number;
}

interface Admission {
  readonly replaces: string | null;
  readonly incarnation: string;
}

/** A majority's promise for `ballot`, and the newest value among its replies. */
interface HeldPromise {
  readonly ballot: Ballot;
  readonly base: Accepted | null;
  readonly members: Members;
  readonly admissions: ReadonlyMap<string, Admission>;
}

/** Creates a proposer for `acceptors`. Its calls must not overlap; only releasePromise() may be called at any time. */
export function createProposer(options: ProposerOptions): Proposer {
  const proposer = new RegisterProposer(options);
  return {
    prepare: () => proposer.prepare(),
    write: (value) => proposer.propose(value),
    beat: () => proposer.propose(null),
    releasePromise: () => {
      proposer.releasePromise();
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
  /** How many status nodes must promise or accept. */
  readonly #quorum: number;
  readonly #bounded: <T>(answer: Promise<T>) => Promise<T>;
  /** The highest count seen anywhere; the next ballot is higher. */
  #countSeen = 0;
  /** The twine.conf written with the newest body. */
  #conf: string | undefined;
  #heldPromise: HeldPromise | null = null;
  #chosenBody: Ballot | null = null;
  /** Status nodes that replied to an accept as empty or with another incarnation: then prepare again. */
  #strangers = new Set<string>();
  /** Grows with releasePromise(), so that a round in progress at that moment keeps no promise. */
  #releases = 0;

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

  releasePromise(): void {
    this.#heldPromise = null;
    this.#releases++;
  }

  async prepare(): Promise<Prepared> {
    const releases = this.#releases;
    this.#heldPromise = null;
    this.#strangers.clear();
    // The body that prepare finds may belong to another twine.conf than the one that was written last.
    this.#conf = undefined;
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
    if (this.#releases === releases) this.#heldPromise = { ballot, base, members, admissions };
    return { kind: "prepared", value: base?.value ?? null, ballot: base?.ballot ?? null };
  }

  /** One accept round: a new body, or with null the present body and an advanced heartbeat. */
  async propose(draft: Draft | null): Promise<Chosen> {
    if (this.#strangers.size > 0 && this.#heldPromise !== null) {
      const failure = await this.#prepareAgain(this.#heldPromise);
      if (failure !== undefined) return failure;
    }
    const promise = this.#heldPromise;
    const releases = this.#releases;
    this.#heldPromise = null;
    if (promise === null) return NOT_PREPARED;
    if (draft !== null) this.#conf = draft.conf;
    const accepted = acceptedOf(promise, draft);
    const next = this.#nextBallot();
    const chosen = await this.#acceptRound(accepted, next, promise.admissions);
    if (chosen.kind === "conflict") this.#saw(chosen.promised);
    if (chosen.kind !== "chosen") return chosen;
    this.#chosenBody = accepted.bodyBallot;
    this.#seed(accepted, promise.admissions);
    if (this.#releases === releases) {
      const { members } = accepted;
      this.#heldPromise = { ballot: next, base: accepted, members, admissions: new Map() };
    }
    return chosen;
  }

  /** Rule 2 of seeding.ts needs a complete round after the node was seen empty. Fails if another proposal came between. */
  async #prepareAgain(before: HeldPromise): Promise<Chosen | undefined> {
    const prepared = await this.prepare();
    if (prepared.kind !== "prepared") return prepared;
    const base = this.#heldPromise?.base ?? null;
    if (isSameBallot(base?.ballot ?? null, before.base?.ballot ?? null)) return undefined;
    this.#heldPromise = null;
    return { kind: "conflict", promised: base?.ballot ?? before.ballot };
  }

  async #prepareRound(): Promise<[Ballot, PrepareVerdict]> {
    const ballot = this.#nextBallot();
    const nodes = this.#acceptors.map(({ name }) => name);
    const verdict = await gather(
      this.#acceptors,
      (acceptor) => this.#bounded(acceptor.prepare({ ballot })),
      (replies, failures) =>
        judgePrepare({ cluster: this.#cluster, nodes, quorum: this.#quorum, replies, failures }),
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
    const conf = this.#conf;
    const full: AcceptRequest = { ...bare, body, ...(conf === undefined ? {} : { conf }) };
    const ask = async (acceptor: Acceptor): Promise<AcceptReply> => {
      const reply = await acceptor.accept(isNewBody ? full : bare);
      // The same value and ballot again, with the body that this node lacks.
      return reply.kind === "needs-body" ? acceptor.accept(full) : reply;
    };
    return gather(
      this.#acceptors,
      (acceptor) => this.#bounded(ask(acceptor)),
      (replies, failures) => this.#judgeAccept(accepted, replies, failures),
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
    failures: Failures,
  ): Chosen | undefined {
    const nodes = this.#acceptors.map(({ name }) => name);
    const quorum = this.#quorum;
    const all = [...replies.values()];
    const count = all.filter((reply) => reply.kind === "accepted").length;
    if (count >= quorum) return { kind: "chosen", value };
    const pending = nodes.length - replies.size - failures.size;
    if (count + pending >= quorum) return undefined;
    const refusals = all.flatMap((reply) => (reply.kind === "refused" ? [reply.promised] : []));
    const promised = refusals.toSorted(compareBallots).at(-1);
    if (promised !== undefined) return { kind: "conflict", promised };
    const missing = nodes.filter((name) => replies.get(name)?.kind !== "accepted");
    return { kind: "no-majority", reasons: reasonsOf(this.#cluster, missing, replies, failures) };
  }

  async #stamp(unstamped: readonly string[]): Promise<void> {
    const nodes = this.#acceptors.filter(({ name }) => unstamped.includes(name));
    const request = { replaces: null, accepted: null };
    const seeds = nodes.map((node) => node.seed({ ...request, incarnation: this.#newLife() }));
    // If a stamp fails, the prepare that follows shows it.
    await Promise.allSettled(seeds.map((seed) => this.#bounded(seed)));
  }

  #seed(accepted: Accepted, admissions: ReadonlyMap<string, Admission>): void {
    for (const acceptor of this.#acceptors) {
      const admission = admissions.get(acceptor.name);
      if (admission === undefined) continue;
      // Not awaited: if a seed fails, the next round shows the node as a stranger and gives it a new incarnation.
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
  { ballot, base, members, admissions }: HeldPromise,
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
  const { body, epoch, revision } = draft;
  return {
    ballot,
    bodyBallot: ballot,
    value: { body, epoch, revision, heartbeat },
    members: voters,
  };
}
