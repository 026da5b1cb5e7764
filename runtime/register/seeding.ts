// seeding.ts: which status nodes vote: judges a round of prepares with empty and returning nodes. Pure.
//
// A status node that lost its disk has forgotten its promises. Its vote would break the register. With three nodes A B X:
//   P2's prepare(9) is promised by X; X is emptied; P1, at ballot 5, seeds X again; P2's prepare(9) reaches B;
//   P1 chooses w at ballot 6 on A and X (X would have refused if it had remembered 9); P2, which never saw w,
//   chooses another value at ballot 9 on A and B. w was acknowledged and is lost.
// So a status node gets a new incarnation whenever it is seeded, and every proposal carries members: which nodes vote,
// with which incarnation. A promise counts only if the acceptor's incarnation is the one in the members of the newest
// value among the promises. An acceptor refuses an accept whose members do not name its incarnation. The four rules:
//
//   1. No value on any node: every status node must promise (not only a majority), so that none can hide a value. Nodes
//      without a stamp are stamped first. The first value's members are the incarnations that promised.
//   2. There is a value, and a majority of all status nodes promises without the empty one, X: the next proposal names a
//      new incarnation for X. X can't vote for it (it has another one), so the majority that chooses it is without X.
//   3. Only when that proposal is chosen, X is seeded with it and with the promise of its ballot.
//   4. A seed names the incarnation that it replaces, so a late one changes nothing. It is never repeated.
//
// Why this is safe: let b be the ballot of rule 2, Q its majority without X. (a) A value chosen below b with X's vote
// had, without X, at least majority - 1 other votes. These nodes and Q are more than all nodes without X, so a node of Q
// accepted it before promising b, and the value of b succeeds it. (b) A proposer above b that counted a promise of X's
// old incarnation also had a promise from a node of Q. If that promise had come before Q's accept of b, the accept would
// have been refused. So it came after, and the proposer learned of b or of a successor, whose members do not name the old
// incarnation of X: X's promise did not count.
//
// By the same count a minority may be emptied at once. Emptying a majority loses acknowledged values in any protocol.
// A node counts as lost until the newest proposal names its incarnation. Two proposers that readmit it at the same moment
// may name two; the node then votes again after the next round. If another node loses its disk in just that moment, the
// register is blocked as if both had been emptied at once. It never chooses wrongly.
import type { Failures } from "./gather.ts";
import { compareBallots } from "./ballot.ts";
import type { Accepted, AcceptReply, Ballot, Members, PrepareReply } from "./register.ts";

/** The replies to one round of prepares so far. A node is in `replies`, in `failures` (unreachable), or its reply is
    outstanding. */
export interface PrepareRound {
  readonly cluster: string;
  readonly nodes: readonly string[];
  /** The number of promises needed: a majority of `nodes`. */
  readonly quorum: number;
  readonly replies: ReadonlyMap<string, PrepareReply>;
  readonly failures: Failures;
}

export type PrepareVerdict =
  | {
      readonly kind: "prepared";
      readonly base: Accepted | null;
      /** The incarnations that have voted until now: the base's members, or at a first start those of the promises. */
      readonly members: Members;
      /** Nodes that need a new incarnation, and the incarnation that it replaces. */
      readonly strangers: ReadonlyMap<string, string | null>;
    }
  /** Stamp these nodes, then prepare again. */
  | { readonly kind: "first-start"; readonly unstamped: readonly string[] }
  | { readonly kind: "conflict"; readonly promised: Ballot }
  | { readonly kind: "no-majority"; readonly reasons: readonly string[] };

/** The result of the round; undefined while outstanding replies may still decide it. */
export function judgePrepare(round: PrepareRound): PrepareVerdict | undefined {
  const { nodes, quorum, replies, failures } = round;
  const promises = kindOf(replies, "promised");
  const pending = nodes.length - replies.size - failures.size;
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

/** Rule 1: every node has replied or failed, and none has a value. */
function judgeWithoutValue(round: PrepareRound, promised: ReadonlySet<string>): PrepareVerdict {
  const { nodes, quorum, replies, failures } = round;
  const unstamped = [...kindOf(replies, "unstamped").keys()];
  if (unstamped.length > 0 && unstamped.length + promised.size === nodes.length) {
    return { kind: "first-start", unstamped };
  }
  const refused = judgeRefused(round, promised);
  const isFirstStart = promised.size + unstamped.length >= quorum;
  if (refused.kind !== "no-majority" || failures.size === 0 || !isFirstStart) return refused;
  const rule = "first start needs every status node once: start those that are missing";
  return { kind: "no-majority", reasons: [...refused.reasons, rule] };
}

function judgeRefused(
  round: PrepareRound,
  counted: ReadonlySet<string>,
): PrepareVerdict & { kind: "conflict" | "no-majority" } {
  const { cluster, nodes, replies, failures } = round;
  const refusals = [...kindOf(replies, "refused").values()].map((reply) => reply.promised);
  const promised = refusals.toSorted(compareBallots).at(-1);
  if (promised !== undefined) return { kind: "conflict", promised };
  const missing = nodes.filter((name) => !counted.has(name));
  const reasons = reasonsOf(cluster, missing, replies, failures);
  const isLost = failures.size === 0 && kindOf(replies, "foreign").size === 0;
  return { kind: "no-majority", reasons: isLost ? [...reasons, MAJORITY_LOST] : reasons };
}

const MAJORITY_LOST =
  "a majority of the status nodes lost its data: stop all status nodes, empty their data folders and start them; the " +
  "monitors then find the roles from the data nodes. Don't restore older copies of these folders: with the roles of that " +
  "time, newer writes would be lost";

/** Why the votes of `missing` are missing: one sentence for each. */
export function reasonsOf(
  cluster: string,
  missing: readonly string[],
  replies: ReadonlyMap<string, PrepareReply | AcceptReply>,
  failures: Failures,
): string[] {
  return missing.flatMap((name) => {
    const failure = failures.get(name);
    if (failure !== undefined) {
      return [`status node ${name} can't be reached: ${failure.cause.message}`];
    }
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
            "give it status nodes of its own, or correct the cluster line of twine.conf",
        ];
      // The reply is outstanding because the others decided the round, or it gives no reason.
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
