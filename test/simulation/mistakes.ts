// mistakes.ts: rules that can be broken one at a time, to prove that the checkers see it (hunts.ts says where).
// Production's own are replaced in the record that its deciders take (runtime/monitor/decide/rules.ts); the code around
// them runs unchanged. The others are what production relies on: there the simulated world breaks its word.
import type { Rules } from "../../runtime/monitor/decide/rules.ts";

/** Production's own rules, as they would be without what each of them is there for. */
export const BROKEN_RULES = {
  /** One status node promises, accepts and chooses alone. */
  "quorum-of-one": { quorumOf: () => 1 },
  /** A single replica that counts takes over, whatever the others hold. */
  "one-replica-is-enough": { neededReplicas: () => 1 },
  /** Nobody waits until the routers' lease is over, before or after the master counts as silent. Nor do the replicas drain until then: that alone covers the other, for
      who still follows the old master is not promoted. */
  "lease-not-waited-out": {
    isFenced: () => true,
    isSuspended: () => false,
    mayStillHear: ({ withoutMasterForMs, downAfterMs }, isKnownDead) =>
      isKnownDead && withoutMasterForMs < downAfterMs / 2,
  },
  /** The oldest replica is promoted. */
  "lowest-offset": { furthestOf: (offsets) => Math.min(...offsets) },
  /** Replicas are compared, and count, while they still follow the old master. */
  "compared-while-moving": { standsStill: () => true },
  /** Replicas are detached at once, with what a dead master had sent them still unread. With ack-replicas it costs nothing
      that was acknowledged, so it is hunted without. */
  "drain-off": { mayStillHear: () => false },
  /** An alpha acts though its lease has run out. */
  "lease-unchecked": { mayAct: () => true },
  /** A replica that has restarted counts like one that has not. */
  "any-run-counts": { isSameRun: () => true },
  /** What a replica took when somebody had made it master by hand makes it further than the others. */
  "own-writes-count": {
    offsetOn: (id, { offset, replicationId, replicationId2 }) =>
      id === replicationId || id === replicationId2 ? offset : undefined,
  },
  /** A rogue master that was rescued once in its run is detached without a copy the next time. */
  "one-rescue-a-run": { isRescued: ({ rescue }, { runId }) => rescue?.runId === runId },
  /** A cut whose pauses may have lapsed counts. */
  "lapsed-pause-counts": { firstSamplesWithinMs: 5000, isStill: () => true },
  /** A cut counts though somebody else has ended a pause of it. */
  "lifted-pause-counts": { isStill: () => true },
  /** Each master is sampled, and let go, without waiting until all are paused. */
  "sampled-one-by-one": { samplesAllFirst: false },
} as const satisfies Readonly<Record<string, Partial<Rules>>>;

/** What a world does that breaks its word. */
export const BROKEN_WORDS = {
  "fence-off": "data nodes answer OK to CLIENT KILL and close nothing",
  "wait-lies": "WAIT answers at once with what was asked for",
  "serves-at-start": "a data node that comes back serves at once as master",
  "fsync-off": "status nodes answer before their disk has what they promised",
  "router-believes-one": "routers take the view of one status node for chosen",
  "suspension-ignored": "routers write to a master that the view suspends",
  "lease-ignored": "routers act on a view however long ago a majority has confirmed it",
} as const;

export type BrokenRule = keyof typeof BROKEN_RULES;
export type Mistake = BrokenRule | keyof typeof BROKEN_WORDS;

/** The rules that a monitor of such a world judges by; undefined: those that hold. */
export function rulesOf(mistake: Mistake | undefined): Partial<Rules> | undefined {
  const broken: Partial<Record<Mistake, Partial<Rules>>> = BROKEN_RULES;
  return mistake === undefined ? undefined : broken[mistake];
}
