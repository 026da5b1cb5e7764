// read.ts: what somebody who only reads the status nodes may conclude.
//
// A body is known to be chosen if a majority holds it under the same accepted ballot, or if any node's `chosen` names
// it. That a majority holds the same body under different ballots proves nothing. With nodes A B C:
//   ballot 1: v is accepted by A alone;   ballot 2: w (prepared on B and C) is accepted by B alone;
//   ballot 3: v again (prepared on A and C, where v is the newest) is accepted by C alone.
// Now A and C, a majority, hold v; yet ballot 4, prepared on A and B, sees w under 2 above v under 1, and chooses w.
import { majorityOf } from "../core/cluster.ts";
import { compareNames } from "../core/natural-order.ts";
import { compareViews } from "../core/view.ts";
import { ballotText, compareBallots, isSameBallot } from "./ballot.ts";
import { gatherAll } from "./gather.ts";
import type {
  Accepted,
  Acceptor,
  AcceptorState,
  Ballot,
  RegisterReading,
  RegisterValue,
} from "./register.ts";

/** The newest accepted value whose body is known to be chosen; one of those that hold it. Pure. */
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

/** Whether this node holds exactly the body named by `bodyBallot`. Pure. */
export function holdsBody(state: AcceptorState, bodyBallot: Ballot): boolean {
  return state.accepted !== null && isSameBallot(state.accepted.bodyBallot, bodyBallot);
}

/**
 * The nodes in another life than the one that votes by the newest accepted value, or in none; the names in order. Pure.
 * Silent nodes can't change that: whoever was let in again holds the very value that names its new life.
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

/** Whether somebody renewed the alpha's lease, or took it over, between two readings. Pure. */
export function hasHeartbeatAdvanced(first: RegisterReading, last: RegisterReading): boolean {
  return last.heartbeat > first.heartbeat || (last.value?.epoch ?? 0) > (first.value?.epoch ?? 0);
}

/** A body that is overtaken between finding it and fetching it, or between two nodes, is looked for this often. */
const ATTEMPTS = 5;

/**
 * Reads every status node and waits for all, or for their silence. An empty one has answered, another cluster's has
 * not; `cluster` only makes the reason for that say whose it should be. Without `withBody` the value's body is null:
 * enough to watch the heartbeat.
 */
export async function readRegister(
  acceptors: readonly Acceptor[],
  cluster?: string,
  { withBody = true }: { readonly withBody?: boolean } = {},
): Promise<RegisterReading> {
  for (let attempt = 1; ; attempt++) {
    const { replies: states, errors: silent } = await gatherAll(acceptors, (acceptor) =>
      readOne(acceptor, cluster),
    );
    const newest = newestChosen(states.values(), acceptors.length);
    const holders = acceptors.filter(({ name }) => {
      const state = states.get(name);
      return newest !== null && state !== undefined && holdsBody(state, newest.bodyBallot);
    });
    const isEnough = newest === null || !withBody;
    const value = isEnough ? (newest?.value ?? null) : await fetchBody(newest, holders);
    const isMoving = newest !== null || mayBeMoving(states, acceptors.length);
    if (value === null && isMoving && attempt < ATTEMPTS) continue;
    const heartbeats = [...states.values()].map(({ accepted }) => accepted?.value.heartbeat ?? 0);
    return {
      value,
      confirmations: value === null ? 0 : holders.length,
      heartbeat: Math.max(0, ...heartbeats),
      answered: acceptors.map(({ name }) => name).filter((name) => states.has(name)),
      silent,
      emptied: emptiedAmong(states),
    };
  }
}

/**
 * A majority answered and something was accepted, yet nothing proved: the nodes were asked while several views followed
 * each other, one node before and another after them. When fewer have answered or have lost what they held, another
 * look proves no more.
 */
function mayBeMoving(states: ReadonlyMap<string, AcceptorState>, nodeCount: number): boolean {
  const isHeld = [...states.values()].some(({ accepted }) => accepted !== null);
  return isHeld && states.size - emptiedAmong(states).length >= majorityOf(nodeCount);
}

async function readOne(acceptor: Acceptor, cluster?: string): Promise<AcceptorState> {
  const state = await acceptor.read(false);
  // Of another cluster's node an acceptor shows nothing but the stamp.
  const isForeign = state.stamp !== null && state.incarnation === null;
  if (!isForeign) return state;
  const ours = cluster === undefined ? "" : `, not to "${cluster}"`;
  throw new Error(`${FOREIGN}"${state.stamp}"${ours}`);
}

const FOREIGN = "belongs to cluster ";

export const FOREIGN_REMEDY = "correct the status lines of twine.conf, or its cluster line";

/** Whether a reading's `silent` says of a node that it does answer, and as another cluster's. Pure. */
export function isForeign(why: string): boolean {
  return why.startsWith(FOREIGN);
}

/** The chosen value with its body from the first holder that still has it; null when all have moved on or gone. */
async function fetchBody(
  newest: Accepted,
  holders: readonly Acceptor[],
): Promise<RegisterValue | null> {
  for (const holder of holders) {
    const state = await holder.read(true).catch(() => undefined);
    if (state !== undefined && holdsBody(state, newest.bodyBallot)) {
      return state.accepted?.value ?? null;
    }
  }
  return null;
}
