// read.ts: what a process that only reads the status nodes may conclude.
//
// A body is known to be chosen if a majority holds it under the same accepted ballot, or if any node's `chosen` names it.
// A majority that holds the same body under different ballots proves nothing. With nodes A B C:
//   ballot 1: v is accepted by A alone;   ballot 2: w (prepared on B and C) is accepted by B alone;
//   ballot 3: v again (prepared on A and C, where v is the newest) is accepted by C alone.
// Now A and C, a majority, hold v; yet ballot 4, prepared on A and B, sees w under 2 above v under 1, and chooses w.
import { majorityOf } from "../core/cluster.ts";
import { FailureError, failureOf, type NodeFailure } from "../core/failure.ts";
import { compareNames } from "../core/natural-order.ts";
import { compareViews } from "../core/view.ts";
import { ballotText, compareBallots, higherBallot, isSameBallot } from "./ballot.ts";
import { gatherAll } from "./gather.ts";
import type {
  Accepted,
  Acceptor,
  AcceptorState,
  Ballot,
  RegisterReading,
  RegisterValue,
} from "./register.ts";

/** The newest accepted value whose body is known to be chosen, from one of its holders. Pure. */
export function newestChosen(
  states: Iterable<AcceptorState>,
  statusNodeCount: number,
): Accepted | null {
  const all = [...states];
  const held = all.flatMap(({ accepted }) => (accepted === null ? [] : [accepted]));
  const votes = new Map<string, number>();
  for (const { ballot } of held) {
    votes.set(ballotText(ballot), (votes.get(ballotText(ballot)) ?? 0) + 1);
  }
  const isChosen = ({ ballot, bodyBallot }: Accepted): boolean =>
    (votes.get(ballotText(ballot)) ?? 0) >= majorityOf(statusNodeCount) ||
    all.some(({ chosen }) => chosen !== null && isSameBallot(chosen, bodyBallot));
  const [newest = null] = held
    .filter(isChosen)
    .toSorted((a, b) => compareViews(b.value, a.value) || b.value.heartbeat - a.value.heartbeat);
  return newest;
}

/** Whether this node holds exactly the body that `bodyBallot` identifies. Pure. */
export function holdsBody(state: AcceptorState, bodyBallot: Ballot): boolean {
  return state.accepted !== null && isSameBallot(state.accepted.bodyBallot, bodyBallot);
}

/**
 * The names, in order, of nodes whose incarnation is not the one in the newest accepted value, or that have none. Pure. A
 * silent node can't change the result: a readmitted node holds the value that names its new incarnation.
 */
export function emptiedAmong(states: ReadonlyMap<string, AcceptorState>): string[] {
  const newest = [...states.values()]
    .flatMap(({ accepted }) => (accepted === null ? [] : [accepted]))
    .reduce<Accepted | null>(
      (best, accepted) =>
        compareBallots(accepted.ballot, best?.ballot ?? null) > 0 ? accepted : best,
      null,
    );
  if (newest === null) return [];
  return [...states]
    .filter(([name, { incarnation }]) => newest.members[name] !== incarnation)
    .map(([name]) => name)
    .sort(compareNames);
}

/** Whether the alpha's lease was renewed, or taken over, between two readings. Pure. */
export function hasHeartbeatAdvanced(first: RegisterReading, last: RegisterReading): boolean {
  const [before, after] = [first.value?.epoch ?? 0, last.value?.epoch ?? 0];
  return compareBallots(last.ballot, first.ballot) > 0 || after > before;
}

/** Attempts if a newer body replaces the found one before it was fetched, or while nodes are being read. */
const ATTEMPTS = 5;

/**
 * Reads every status node; waits until each has replied or failed. An empty node counts as answered, another cluster's
 * node does not. `cluster` is only used in the text of that failure. Without `withBody` the value's body is null: enough
 * to watch the heartbeat.
 */
export async function readRegister(
  acceptors: readonly Acceptor[],
  cluster?: string,
  { withBody = true }: { readonly withBody?: boolean } = {},
): Promise<RegisterReading> {
  for (let attempt = 1; ; attempt++) {
    const { replies: states, failures: silent } = await gatherAll(acceptors, (acceptor) =>
      readOne(acceptor, cluster),
    );
    const newest = newestChosen(states.values(), acceptors.length);
    const holders = acceptors.filter(({ name }) => {
      const state = states.get(name);
      return newest !== null && state !== undefined && holdsBody(state, newest.bodyBallot);
    });
    const isEnough = newest === null || !withBody;
    const malformed = new Map<string, NodeFailure>();
    const value = isEnough ? (newest?.value ?? null) : await fetchBody(newest, holders, malformed);
    const isMoving = newest !== null || mayBeMoving(states, acceptors.length);
    if (value === null && malformed.size === 0 && isMoving && attempt < ATTEMPTS) continue;
    return {
      value,
      confirmations: value === null ? 0 : holders.length - malformed.size,
      ballot: [...states.values()]
        .map(({ accepted }) => accepted?.ballot ?? null)
        .reduce(higherBallot, null),
      answered: acceptors
        .map(({ name }) => name)
        .filter((name) => states.has(name) && !malformed.has(name)),
      silent: new Map([...silent, ...malformed]),
      emptied: emptiedAmong(states),
    };
  }
}

/**
 * Whether another reading may prove more. True if a majority replied and values exist, but none is proved: views changed
 * while the nodes were being read. If fewer replied, or the others were emptied, another reading proves no more.
 */
function mayBeMoving(states: ReadonlyMap<string, AcceptorState>, nodeCount: number): boolean {
  const isHeld = [...states.values()].some(({ accepted }) => accepted !== null);
  return isHeld && states.size - emptiedAmong(states).length >= majorityOf(nodeCount);
}

async function readOne(acceptor: Acceptor, cluster?: string): Promise<AcceptorState> {
  const state = await acceptor.read(false);
  // An acceptor of another cluster's node returns only the stamp.
  const isForeign = state.stamp !== null && state.incarnation === null;
  if (!isForeign) return state;
  const ours = cluster === undefined ? "" : `, not to "${cluster}"`;
  throw new FailureError("foreign", `belongs to cluster "${state.stamp}"${ours}`);
}

export const FOREIGN_REMEDY = "correct the status lines of twine.conf, or its cluster line";

/**
 * The chosen value with its body, from the first holder that still has it; null if none has. Holders with an unreadable
 * body are added to `malformed`: they have no vote.
 */
async function fetchBody(
  newest: Accepted,
  holders: readonly Acceptor[],
  malformed: Map<string, NodeFailure>,
): Promise<RegisterValue | null> {
  for (const holder of holders) {
    const state = await holder.read(true).catch((error: unknown) => {
      const failure = failureOf(holder.name, error);
      if (failure.kind === "malformed") malformed.set(holder.name, failure);
      return undefined;
    });
    if (state !== undefined && holdsBody(state, newest.bodyBallot)) {
      return state.accepted?.value ?? null;
    }
  }
  return null;
}
