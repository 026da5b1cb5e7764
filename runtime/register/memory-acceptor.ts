// memory-acceptor.ts: an in-memory status node that takes the same steps as scripts.ts. One contract test runs the same
// requests against both. For simulations: it can be down, be emptied, and lose data that was not fsynced.
import { compareBallots, higherBallot, isSameBallot } from "./ballot.ts";
import type {
  Accepted,
  Acceptor,
  AcceptorState,
  AcceptReply,
  AcceptRequest,
  Ballot,
  NotVoting,
  PrepareReply,
  SeedRequest,
} from "./register.ts";

export interface MemoryAcceptor extends Acceptor {
  /** While it is down, every request rejects. */
  setDown(isDown: boolean): void;
  /** Loses all data, like a replaced disk or FLUSHALL. */
  empty(): void;
  /** "no" keeps steps in memory until sync(), like `appendfsync no`. Status nodes run with "always". */
  setFsync(policy: "always" | "no"): void;
  sync(): void;
  /** Restarts with the synced data. */
  restart(): void;
  /** The same node through another cluster's twine.conf. */
  asCluster(cluster: string): Acceptor;
  /** The state that read(true) would return, also while it is down. */
  peek(): AcceptorState;
  /** Called where the script would PUBLISH, with "EPOCH REVISION". */
  onPublish(task: (message: string) => void): void;
}

interface AcceptorMemory {
  readonly stamp: string | null;
  readonly incarnation: string;
  readonly promised: Ballot | null;
  readonly accepted: Accepted | null;
  readonly chosen: Ballot | null;
}

const EMPTY: AcceptorMemory = {
  stamp: null,
  incarnation: "",
  promised: null,
  accepted: null,
  chosen: null,
};

export function memoryAcceptor(name: string, cluster = "twine"): MemoryAcceptor {
  let held = EMPTY;
  let synced = EMPTY;
  let isDown = false;
  let fsync: "always" | "no" = "always";
  const listeners: ((message: string) => void)[] = [];

  const step = <R>(task: (before: AcceptorMemory) => readonly [R, AcceptorMemory]): Promise<R> => {
    if (isDown) return Promise.reject(new Error(`${name} is down`));
    const [reply, after] = task(held);
    held = after;
    if (fsync === "always") synced = held;
    return Promise.resolve(reply);
  };
  const publishNews = (before: AcceptorMemory): void => {
    if (held.accepted === null || !isNews(before, held)) return;
    const { epoch, revision } = held.accepted.value;
    for (const listener of listeners) listener(`${epoch} ${revision}`);
  };
  const asCluster = (owner: string): Acceptor => ({
    name,
    prepare: ({ ballot }) => step((before) => prepareStep(before, owner, ballot)),
    accept: (request) => {
      const before = held;
      const reply = step(() => acceptStep(before, owner, name, request));
      publishNews(before);
      return reply;
    },
    read: (withBody) => step((before) => [stateOf(before, owner, withBody), before]),
    seed: (request) => step((before) => seedStep(before, owner, request)),
  });
  return {
    ...asCluster(cluster),
    asCluster,
    setDown: (value) => {
      isDown = value;
    },
    empty: () => {
      held = EMPTY;
      synced = EMPTY;
    },
    setFsync: (policy) => {
      fsync = policy;
      if (policy === "always") synced = held;
    },
    sync: () => {
      synced = held;
    },
    restart: () => {
      held = synced;
    },
    peek: () => stateOf(held, cluster, true),
    onPublish: (task) => {
      listeners.push(task);
    },
  };
}

function notVoting(held: AcceptorMemory, cluster: string): NotVoting | undefined {
  if (held.stamp === null) return { kind: "unstamped" };
  return held.stamp === cluster ? undefined : { kind: "foreign", cluster: held.stamp };
}

function refusal(held: AcceptorMemory) {
  return { kind: "refused", promised: held.promised ?? { count: 0, proposer: "" } } as const;
}

function prepareStep(
  held: AcceptorMemory,
  cluster: string,
  ballot: Ballot,
): readonly [PrepareReply, AcceptorMemory] {
  const silent = notVoting(held, cluster);
  if (silent !== undefined) return [silent, held];
  if (compareBallots(ballot, held.promised) <= 0) return [refusal(held), held];
  const { incarnation, accepted } = held;
  return [
    { kind: "promised", incarnation, accepted },
    { ...held, promised: ballot },
  ];
}

function acceptStep(
  held: AcceptorMemory,
  cluster: string,
  name: string,
  request: AcceptRequest,
): readonly [AcceptReply, AcceptorMemory] {
  const silent = notVoting(held, cluster);
  if (silent !== undefined) return [silent, held];
  if (request.members[name] !== held.incarnation) {
    return [{ kind: "stranger", incarnation: held.incarnation }, held];
  }
  const { ballot, bodyBallot, members, heartbeat, epoch, revision } = request;
  const isTooLow =
    compareBallots(held.promised, ballot) > 0 ||
    compareBallots(ballot, held.accepted?.ballot ?? null) <= 0;
  if (isTooLow) return [refusal(held), held];
  const isHeld = isSameBallot(held.accepted?.bodyBallot ?? null, bodyBallot);
  const body = isHeld ? held.accepted?.value.body : request.body;
  if (body === undefined) return [{ kind: "needs-body" }, held];
  const value = { body, epoch, revision, heartbeat };
  const after = {
    ...held,
    promised: request.next,
    accepted: { ballot, bodyBallot, value, members },
    chosen: higherBallot(held.chosen, request.chosen),
  };
  return [{ kind: "accepted" }, after];
}

function seedStep(
  held: AcceptorMemory,
  cluster: string,
  request: SeedRequest,
): readonly [boolean, AcceptorMemory] {
  if (held.stamp !== null && held.stamp !== cluster) return [false, held];
  const present = held.stamp === null ? null : held.incarnation;
  if (present !== request.replaces) return [false, held];
  const { incarnation, accepted } = request;
  const stamped: AcceptorMemory = { ...held, stamp: cluster, incarnation };
  if (accepted === null) return [true, stamped];
  const isNewer = compareBallots(accepted.ballot, held.accepted?.ballot ?? null) > 0;
  const after = {
    ...stamped,
    promised: higherBallot(held.promised, accepted.ballot),
    accepted: isNewer ? accepted : held.accepted,
    chosen: higherBallot(held.chosen, accepted.bodyBallot),
  };
  return [true, after];
}

function stateOf(held: AcceptorMemory, cluster: string, withBody: boolean): AcceptorState {
  if (held.stamp !== cluster) {
    const { stamp } = held;
    return { stamp, incarnation: null, promised: null, accepted: null, chosen: null };
  }
  if (withBody || held.accepted === null) return held;
  const value = { ...held.accepted.value, body: null };
  return { ...held, accepted: { ...held.accepted, value } };
}

/** True if the accept script would PUBLISH: the body is new, or a body became known to be chosen. */
function isNews(before: AcceptorMemory, after: AcceptorMemory): boolean {
  return (
    !isSameBallot(before.accepted?.bodyBallot ?? null, after.accepted?.bodyBallot ?? null) ||
    !isSameBallot(before.chosen, after.chosen)
  );
}
