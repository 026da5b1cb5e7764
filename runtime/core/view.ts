// view.ts: roles and routes at one epoch and revision, as published on the status nodes. Pure.
// This is also the schema of `twine-status json` (docs/status.schema.json): adding a field is free,
// changing or removing one needs an ADR.

/** DEGRADED: every partition has a master, but something is dead or not in sync. HALT: some partition has no master. */
export type ClusterState = "OK" | "DEGRADED" | "HALT";

/**
 * A planned change of master. pause: the master's writes are paused until `to` has what it has; step-down: the master is
 * being made a replica of nowhere. After that the partition's `promoting` names `to`, and the handover is over.
 */
export interface Handover {
  /** Node names. */
  readonly from: string;
  readonly to: string;
  readonly phase: "pause" | "step-down";
}

/** A place in a stream of writes: so many bytes of the history that has this replication id. */
export interface HistoryMark {
  readonly replicationId: string;
  readonly offset: number;
}

/** What became of the writes that a rogue master took and its partition's master never had. */
export interface Rescue {
  /** The run of the node that it was taken from: after a restart the node is not this one any more. */
  readonly runId: string;
  /** saved: `place` is the RDB file, MONITOR:PATH. kept: no file could be written, so the node itself keeps its data and
      is left alone; `place` is null. */
  readonly kind: "saved" | "kept";
  readonly place: string | null;
  /** Why it was kept; empty when saved. */
  readonly why: string;
  /** ISO 8601, by the alpha's clock. */
  readonly at: string;
  /** How far the file reaches: what the node has beyond it is not saved. Absent when kept, and in views of older versions. */
  readonly upTo?: HistoryMark;
  /** A person has seen to the file, and no status tells of it any more. It stays in the view all the same: without it the
      alpha would take this run's data for not yet saved. */
  readonly isSeen?: boolean;
}

/** One replica of a lost master, as it was when the master was lost. */
export interface FailoverReplica {
  readonly name: string;
  /** The run id under which it was last in sync; null when it never was. Under another one it has restarted since and
      may have lost what it acknowledged. */
  readonly runId: string | null;
  /** It was in sync when the master was lost. */
  readonly inSync: boolean;
}

/** A failover under way: all that another alpha needs to go on with it. */
export interface FailoverView {
  /** The master that was lost. */
  readonly from: string;
  /** Its process is certainly gone: its port refused, or another process answered there. It takes no write any more. */
  readonly isKnownDead: boolean;
  /** Everybody who could acknowledge a write to a router beside the master, first to last. */
  readonly replicas: readonly FailoverReplica[];
}

export interface PartitionView {
  readonly index: number;
  /** Node names. */
  readonly master: string | null;
  readonly replicas: readonly string[];
  readonly dead: readonly string[];
  /** Of the present master, or of the last one while there is none; null before the first. */
  readonly replicationId: string | null;
  /** The node that was master last, kept while there is none: after an outage it is the one that may win. */
  readonly lastMaster: string | null;
  /** What the partition needs before it can leave HALT, with the command to give; null when it needs nothing. */
  readonly needs: string | null;
  /** The node that the alpha is about to make master. Nobody is promoted unless a chosen view names it here, so an
      alpha that dies half way leaves its successor nothing to guess. */
  readonly promoting?: string | null;
  /** The run id that `lastMaster` had as master: another one means that it has restarted since. */
  readonly masterRunId?: string | null;
  /** From the loss of a master until another one serves; absent or null otherwise. */
  readonly failover?: FailoverView | null;
  /** Under way; absent or null otherwise. A successor alpha goes on with it or takes it back. */
  readonly handover?: Handover | null;
}

/** master, replica, dead for data nodes; up or dead for the others. */
export type NodeRole = "master" | "replica" | "up" | "dead";

export interface NodeView {
  readonly name: string;
  readonly kind: "data" | "status" | "monitor" | "router";
  readonly host: string;
  readonly port: number;
  /** null where it has no meaning (monitors, routers). */
  readonly db: number | null;
  /** null for all but data nodes. */
  readonly partition: number | null;
  readonly role: NodeRole;
  /** Replicas: the master lists it online and its offset reached one sampled at the master. Others: true unless dead. */
  readonly inSync: boolean;
  /** Redis's run_id when last seen; null where unknown or not a redis-server. */
  readonly runId: string | null;
  /** The run id under which a replica was last in sync, kept while it is not: what it acknowledged under that one it
      still holds. null for a master, which has to get in sync before it counts as a replica. */
  readonly syncedRunId?: string | null;
  /** When the role last changed, ISO 8601, by the alpha's clock. */
  readonly since: string;
  /** twine.conf names it no more: it is handed over when master, detached, and then leaves the view. */
  readonly retiring?: boolean;
  /** The last rescue of data that only this node had; absent when there was none. */
  readonly rescue?: Rescue;
  /** What was saved of this node before that and nobody has seen to yet, oldest first: each file holds other writes. */
  readonly earlierRescues?: readonly Rescue[];
}

export interface View {
  readonly cluster: string;
  readonly state: ClusterState;
  /** Grows by one with every new alpha. */
  readonly epoch: number;
  /** Grows by one with every change of the view; never restarts. */
  readonly revision: number;
  /** The monitor that leads this epoch. */
  readonly alpha: string;
  /** ISO 8601, by the alpha's clock: for people, never compared. */
  readonly updatedAt: string;
  /** Digest of the adopted twine.conf. */
  readonly confDigest: string;
  /** Partitions, hash and hash tag in words: they never change while the data lives. */
  readonly hashing?: string;
  readonly partitions: readonly PartitionView[];
  readonly nodes: readonly NodeView[];
}

/** What the roles add up to. */
export function stateOf(view: Pick<View, "partitions" | "nodes">): ClusterState {
  if (view.partitions.some((partition) => partition.master === null)) return "HALT";
  const allWell = view.nodes.every((node) => node.role !== "dead" && node.inSync);
  return allWell ? "OK" : "DEGRADED";
}

/** Negative when a is older than b. Epoch first, then revision. */
export function compareViews(
  a: { readonly epoch: number; readonly revision: number },
  b: { readonly epoch: number; readonly revision: number },
): number {
  return a.epoch - b.epoch || a.revision - b.revision;
}
