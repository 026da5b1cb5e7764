// seeding.ts: who votes: what a round of prepares says about empty and returning status nodes. Pure.
//
// A status node that lost its disk has forgotten its promises. Its vote would be a lie: with three nodes A B X,
//   P2's prepare(9) is promised by X; X is emptied; P1, at ballot 5, seeds X again; P2's prepare(9) reaches B;
//   P1 chooses w at ballot 6 on A and X (X would have refused, had it remembered 9); P2, which never saw w,
//   chooses another value at ballot 9 on A and B. w was acknowledged and is gone.
// So every life of a status node has an incarnation, and every proposal carries members: whose vote counts, and in
// which life. A promise counts only if the acceptor's incarnation is the one in the members of the newest value among
// the promises; an accept is refused by an acceptor that its members do not name. The four rules:
//
//   1. No value anywhere: every status node must promise (not only a majority), so that none can be hiding one; those
//      without a stamp are stamped first. The first value's members are the incarnations that promised.
//   2. A value, and a majority of all status nodes promises without the empty one, X: the next proposal names a fresh
//      incarnation for X. X can't vote for it (its own is another), so the majority that chooses it is without X.
//   3. Only when that is chosen X is seeded with it, and with the promise of its ballot.
//   4. A seed says which incarnation it replaces, so a late one changes nothing; it is never repeated.
//
// Why this is safe: let b be the ballot of rule 2, Q its majority without X. (a) A value chosen below b with X's vote
// had, without X, at least majority - 1 others; these and Q are more than all nodes without X, so a node of Q accepted
// it before promising b, and b grew from it. (b) A proposer above b that counted a promise of X's old life also had
// a promise from a node of Q. Had that come before Q's accept of b, the accept would have been refused; so it came
// after, and told of b or of what grew from it, whose members disown the old X: its promise did not count.
// A minority may be emptied at once, by the same count; emptying a majority loses acknowledged values in any protocol.
// A node counts as lost until the newest proposal names its life. Two proposers that readmit it at the same moment may
// name two, and it waits for the next round: should another node lose its disk in just that moment, the register stands
// still as if both had at once. It never chooses wrongly.
import { compareBallots } from "./ballot.ts";
import type { Accepted, AcceptReply, Ballot, Members, PrepareReply } from "./register.ts";

/** One round of prepares so far. A node is in `replies`, in `errors` (unreachable: why), or yet to answer. */
export interface PrepareRound {
  readonly cluster: string;
  readonly nodes: readonly string[];
  /** How many promises it takes: a majority of `nodes`. */
  readonly quorum: number;
  readonly replies: ReadonlyMap<string, PrepareReply>;
  readonly errors: ReadonlyMap<string, string>;
}

export type PrepareVerdict =
  | {
      readonly kind: "prepared";
      readonly base: Accepted | null;
      /** Who voted in which life until now: the base's members, or at a first start those who promised. */
      readonly members: Members;
      /** Nodes to be given a new incarnation, and the one that it replaces. */
      readonly strangers: ReadonlyMap<string, string | null>;
    }
  /** Stamp these, then prepare again. */
  | { readonly kind: "first-start"; readonly unstamped: readonly string[] }
  | { readonly kind: "conflict"; readonly promised: Ballot }
  | { readonly kind: "no-majority"; readonly reasons: readonly string[] };

/** What the round amounts to, or undefined while the answers to come may still decide it. */
export function judgePrepare(round: PrepareRound): PrepareVerdict | undefined {
  const { nodes, quorum, replies, errors } = round;
  const promises = kindOf(replies, "promised");
  const pending = nodes.length - replies.size - errors.size;
  const base = [...promises.values()].reduce<Accepted | null>(
    (best, { accepted }) =>
      compareBallots(accepted?.ballot ?? null, best?.ballot ?? null) > 0 ? accepted : best,
    null,
  );
  if (base === null) {
    if (promises.size === nodes.length) {
      return { kind: "prepared", base, members: incarnationsOf(promises), strangers: new Map() };
    }
    return pending > 0 ? undefined : judgeWithoutValue(round, new Set(promises.keys()));
  }
  const counted = [...promises].filter(
    ([name, { incarnation }]) => base.members[name] === incarnation,
  );
  if (counted.length >= quorum) {
    const members = Object.fromEntries(
      Object.entries(base.members).filter(([name]) => nodes.includes(name)),
    );
    return { kind: "prepared", base, members, strangers: strangersOf(replies, base.members) };
  }
  return counted.length + pending >= quorum
    ? undefined
    : judgeRefused(round, new Set(counted.map(([name]) => name)));
}

/** Rule 1: all have answered, or can't be reached, and nobody showed a value. */
function judgeWithoutValue(round: PrepareRound, promised: ReadonlySet<string>): PrepareVerdict {
  const { nodes, quorum, replies, errors } = round;
  const unstamped = [...kindOf(replies, "unstamped").keys()];
  if (unstamped.length > 0 && unstamped.length + promised.size === nodes.length) {
    return { kind: "first-start", unstamped };
  }
  const refused = judgeRefused(round, promised);
  const isFirstStart = promised.size + unstamped.length >= quorum;
  if (refused.kind !== "no-majority" || errors.size === 0 || !isFirstStart) return refused;
  const rule = "first start needs every status node once: start those that are missing";
  return { kind: "no-majority", reasons: [...refused.reasons, rule] };
}

function judgeRefused(
  round: PrepareRound,
  counted: ReadonlySet<string>,
): PrepareVerdict & { kind: "conflict" | "no-majority" } {
  const { cluster, nodes, replies, errors } = round;
  const refusals = [...kindOf(replies, "refused").values()].map((reply) => reply.promised);
  const promised = refusals.toSorted(compareBallots).at(-1);
  if (promised !== undefined) return { kind: "conflict", promised };
  const missing = nodes.filter((name) => !counted.has(name));
  const reasons = reasonsOf(cluster, missing, replies, errors);
  const isLost = errors.size === 0 && kindOf(replies, "foreign").size === 0;
  return { kind: "no-majority", reasons: isLost ? [...reasons, MAJORITY_LOST] : reasons };
}

const MAJORITY_LOST =
  "a majority of the status nodes lost what it held: put back a copy of their data folders, " +
  "or empty all status nodes to start anew without the roles";

/** Why the votes of `missing` are missing, a sentence for each. */
export function reasonsOf(
  cluster: string,
  missing: readonly string[],
  replies: ReadonlyMap<string, PrepareReply | AcceptReply>,
  errors: ReadonlyMap<string, string>,
): string[] {
  return missing.flatMap((name) => {
    const error = errors.get(name);
    if (error !== undefined) return [`status node ${name} can't be reached: ${error}`];
    const reply = replies.get(name);
    switch (reply?.kind) {
      case "unstamped":
        return [`status node ${name} is empty; it votes once a majority agrees without it`];
      case "promised":
      case "stranger":
        return [`status node ${name} was emptied; it votes once a majority agrees without it`];
      case "foreign":
        return [
          `status node ${name} belongs to cluster "${reply.cluster}", not to "${cluster}": ` +
            "give it status nodes of its own, or mend the cluster line of twine.conf",
        ];
      // Yet to answer, when the others have decided already, or no reason at all.
      case undefined:
      case "accepted":
      case "needs-body":
      case "refused":
        return [];
    }
  });
}

function strangersOf(
  replies: ReadonlyMap<string, PrepareReply>,
  members: Members,
): Map<string, string | null> {
  const strangers = new Map<string, string | null>();
  for (const [name, reply] of replies) {
    if (reply.kind === "unstamped") strangers.set(name, null);
    if (reply.kind === "promised" && members[name] !== reply.incarnation) {
      strangers.set(name, reply.incarnation);
    }
  }
  return strangers;
}

function incarnationsOf(
  promises: ReadonlyMap<string, { readonly incarnation: string }>,
): Record<string, string> {
  return Object.fromEntries([...promises].map(([name, { incarnation }]) => [name, incarnation]));
}

function kindOf<R extends { readonly kind: string }, K extends R["kind"]>(
  replies: ReadonlyMap<string, R>,
  kind: K,
): Map<string, Extract<R, { kind: K }>> {
  const isKind = (entry: [string, R]): entry is [string, Extract<R, { kind: K }>] =>
    entry[1].kind === kind;
  return new Map([...replies].filter(isKind));
}
