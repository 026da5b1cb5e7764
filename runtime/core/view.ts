// view.ts: roles and routes at one epoch and revision, as published on the status nodes. Pure.
// This is also the schema of `twine-status json` (docs/status.schema.json): adding a field is free,
// changing or removing one needs an ADR.
import type { Hashing } from "./hashing.ts";
import type { MalformedEntry } from "./shared-entries.ts";

/** DEGRADED: every partition has a master, but something is dead or not in sync. HALT: some partition has no master. */
export type ClusterState = "OK" | "DEGRADED" | "HALT";

/**
 * A planned change of master. The master's writes are paused until `to` has all of them; then the master is made a replica of
 * no node. Then the partition's `promoting` names `to`, and the handover is over. `phase` is "pause" throughout; earlier
 * versions write "step-down" before the second step.
 */
export interface Handover {
  /** Node names. */
  readonly from: string;
  readonly to: string;
  readonly phase: "pause" | "step-down";
}

/** A position in a history: an offset in bytes under this replication id. */
export interface HistoryMark {
  readonly replicationId: string;
  readonly offset: number;
}

/** What happened to the writes that only a rogue master has, not its partition's master. */
export interface Rescue {
  /** The run id of the node from which it was saved. After a restart the node has another run id. */
  readonly runId: string;
  /** saved: `place` is the RDB file, MONITOR:PATH. kept: the file could not be written, so the node keeps its data and is
      not changed; `place` is null. */
  readonly kind: "saved" | "kept";
  readonly place: string | null;
  /** Why it was kept; empty when saved. */
  readonly why: string;
  /** ISO 8601, by the alpha's clock. */
  readonly at: string;
  /** The last offset in the file; later writes of the node are not saved. Absent when kept, and in views of older
      versions. */
  readonly upTo?: HistoryMark;
  /** A person has handled the file, so the status no longer shows it. The view keeps the entry: without it the alpha
      would save this run's data again. */
  readonly isSeen?: boolean;
}

/** One replica of a lost master, as it was when the master was lost. */
export interface FailoverReplica {
  readonly name: string;
  /** The run id under which it was last in sync; null if it never was. With another run id it has restarted since, and
      may have lost acknowledged writes. */
  readonly runId: string | null;
  /** It was in sync when the master was lost. */
  readonly inSync: boolean;
}

/** A failover in progress: all that a new alpha needs to continue it. */
export interface FailoverView {
  /** The master that was lost. */
  readonly from: string;
  /** Its process has certainly ended: its port refused, or another process replied there. It takes no more writes. */
  readonly isKnownDead: boolean;
  /** Every replica that could acknowledge a write to a router, first to last. */
  readonly replicas: readonly FailoverReplica[];
}

/**
 * Another system's master, which a partition without a master copies until it takes over (monitor/decide/follow).
 * fencing: no client may write here any more, and routers may not know it yet. copying: the partition's nodes follow that
 * master. fenced: on the way back, no client writes here, and the old master is to serve again.
 */
export interface FollowedMaster {
  readonly host: string;
  readonly port: number;
  /** Who requested it. For display only. */
  readonly by: string;
  /** ISO 8601, by the alpha's clock. */
  readonly since: string;
  readonly phase: "fencing" | "copying" | "fenced";
  /** This partition has served before, and the old master is to take over from it. */
  readonly isBack?: boolean;
  /** The old master's offset when no client could write to it any more: only a promotion that names it is executed.
      Absent until a switch has begun. */
  readonly mark?: HistoryMark;
}

export interface PartitionView {
  readonly index: number;
  /** Node names. */
  readonly master: string | null;
  readonly replicas: readonly string[];
  readonly dead: readonly string[];
  /** Of the present master, or of the last one while there is none; null before the first. */
  readonly replicationId: string | null;
  /** The last master, kept while there is none: after an outage this node may be promoted. */
  readonly lastMaster: string | null;
  /** What an operator must do so that the partition can leave HALT, with the command; null if nothing. */
  readonly needs: string | null;
  /** The node that the alpha is about to promote. A node is promoted only after a chosen view names it here, so a new
      alpha knows what a crashed one was doing. */
  readonly promoting?: string | null;
  /** The run id of `lastMaster` as master. If the node has another one, it has restarted since. */
  readonly masterRunId?: string | null;
  /** Present from the loss of a master until another one serves; absent or null otherwise. */
  readonly failover?: FailoverView | null;
  /** A handover in progress; absent or null otherwise. A new alpha continues or cancels it. */
  readonly handover?: Handover | null;
  /** Present while the partition's nodes copy another system's master; absent or null otherwise. */
  readonly following?: FollowedMaster | null;
  /** The other system's master from which this partition took over. It now follows this partition, so that a way back
      exists. Absent or null otherwise. */
  readonly cameFrom?: { readonly host: string; readonly port: number } | null;
  /** A failover promoted a node with a newer Redis version than a replica's, because only this node had all acknowledged
      writes. It hands over as soon as a node with an older version can take over. Absent otherwise. */
  readonly handsBack?: boolean;
  /** The master has not replied to the alpha for so long that it may soon be replaced: routers send it no writes until it
      replies or another node is master. Writes sent before still count. Absent otherwise. */
  readonly suspended?: boolean;
}

/** WRITES_REFUSED: the node can't write to its disk, or a limit is reached. OOM_REFUSALS, NOREPLICAS_REFUSALS: clients
    got these errors within the last minute. */
export type TroubleCode =
  | "WRITES_REFUSED"
  | "OOM_REFUSALS"
  | "NOREPLICAS_REFUSALS"
  | "FOREIGN_MASTER"
  | "OLDER_THAN_MASTER"
  | "NOT_IN_SYNC"
  | "BUSY"
  | "SILENT_TO_ALPHA";

/** A problem of a data node that its role does not show. */
export interface NodeTrouble {
  readonly code: TroubleCode;
  /** Follows the node's name in a message. Contains no figure that changes by itself, because every change is a change of
      the view. */
  readonly text: string;
  /** What to do; null if it ends by itself. */
  readonly remedy: string | null;
}

/** A restore of the whole cluster in progress: monitors do not act on data nodes, but the tool with the token does. */
export interface RestoreView {
  readonly token: string;
  /** Who started the restore. For display only. */
  readonly by: string;
  /** ISO 8601, by the alpha's clock. */
  readonly since: string;
  /** loading: no node has changed yet. released: nodes load the new data. */
  readonly phase: "loading" | "released";
  /** The new data's replication ids, by partition. */
  readonly replicationIds: readonly string[];
  /** An earlier restore failed while nodes were loading its data: the partitions' data may be inconsistent. */
  readonly isMixed?: boolean;
}

/** A cut in progress: all pauses of masters belong to it until it is over. A tool requested it (monitor/decide/cut.ts). */
export interface CutView {
  /** The id of the request. */
  readonly id: string;
  readonly purpose: "backup";
  /** Who requested it. For display only. */
  readonly by: string;
  /** ISO 8601, by the alpha's clock. */
  readonly since: string;
  /** The epoch of the alpha that pauses the masters. */
  readonly epoch: number;
  /** The paused masters, by partition. */
  readonly masters: readonly string[];
}

/** A position of one source partition: what its master held when its writes were paused, or when it was fenced. */
export interface ReshardMark extends HistoryMark {
  /** The master. */
  readonly node: string;
}

/**
 * The keys are being copied into other nodes, which divide them in another way (monitor/decide/reshard). copying: the
 * cluster serves as usual. pausing: the masters' writes are being paused. draining: they are paused; the tool copies up to
 * `marks`. fencing: the masters are being detached. fenced: no node takes writes; `marks` are final. undoing: the old
 * masters are to serve again. keeping: after a commit, the tool copies what is written back into the nodes from before, so
 * that they can serve again; `copying` follows when somebody asks for that.
 */
export interface ReshardView {
  readonly token: string;
  /** Who started it. For display only. */
  readonly by: string;
  /** ISO 8601, by the alpha's clock. */
  readonly since: string;
  readonly phase: "copying" | "pausing" | "draining" | "fencing" | "fenced" | "undoing" | "keeping";
  /** The new twine.conf: its canonical print. */
  readonly conf: string;
  /** How the new nodes divide the keys. */
  readonly hashing: Hashing;
  /** It leads back to the partitions from before a resharding, which the same tool has made. */
  readonly isBack?: boolean;
  /** By partition. */
  readonly marks?: readonly ReshardMark[];
  /** Why the last attempt to switch was undone. */
  readonly failed?: string;
  /** undoing: the record is removed at the end, and the copying does not go on. */
  readonly isCancelled?: boolean;
}

/** The cluster had other partitions before. So a process that still has an earlier twine.conf recognizes the cluster. */
export interface ReshardedView {
  /** ISO 8601, by the alpha's clock. */
  readonly at: string;
  /** Earlier hashings, oldest first. */
  readonly hashings: readonly Hashing[];
  /** The data nodes before the last resharding; none of them belongs to the cluster any more. */
  readonly nodes: readonly Pick<NodeView, "name" | "host" | "port">[];
}

/** A rotation of the password in progress (core/rotation.ts). Fingerprints stand for the passwords. */
export interface RotationView {
  /** The fingerprint of the new password. */
  readonly target: string;
  /** both: every host accepts both passwords and uses the new one. finishing: some hosts accept only the new one. */
  readonly phase: "rotating" | "both" | "finishing" | "aborting";
  /** ISO 8601, by the clock of the host that began. */
  readonly since: string;
  /** Hosts that do not accept the new password yet. */
  readonly without: readonly string[];
  /** Hosts that accept only the new password. */
  readonly finished: readonly string[];
}

/** master, replica, dead for data nodes; up or dead for the others. */
export type NodeRole = "master" | "replica" | "up" | "dead";

export interface NodeView {
  readonly name: string;
  readonly kind: "data" | "status" | "monitor" | "router";
  readonly host: string;
  readonly port: number;
  /** null where there is none (monitors, routers). */
  readonly db: number | null;
  /** null except for data nodes. */
  readonly partition: number | null;
  readonly role: NodeRole;
  /** Replicas: the master lists it online and its offset reached one sampled at the master. Others: true unless dead. */
  readonly inSync: boolean;
  /** Redis's run_id when last seen; null where unknown or not a redis-server. */
  readonly runId: string | null;
  /** The run id under which a replica was last in sync, kept while it is not in sync: it still has what it acknowledged
      under that run id. null for a master, which has to get in sync before it counts as a replica. */
  readonly syncedRunId?: string | null;
  /** When the role last changed, ISO 8601, by the alpha's clock. */
  readonly since: string;
  /** The server, such as "redis 7.0.15" or "valkey 8.1.4"; absent until it is known. */
  readonly version?: string;
  /** Absent when nothing is wrong. */
  readonly troubles?: readonly NodeTrouble[];
  /** twine.conf no longer names it: a master is handed over, the node is detached and then removed from the view. */
  readonly retiring?: boolean;
  /** Where a data node's settings differ from the `redis` lines of twine.conf, in words. A changed line takes effect at
      the node's next start. Absent if there is no difference. */
  readonly otherSettings?: string;
  /** A monitor that holds another twine.conf than the adopted one; absent otherwise. */
  readonly otherConf?: boolean;
  /** The last rescue of data that only this node had; absent if there was none. */
  readonly rescue?: Rescue;
  /** Earlier rescues that no person has handled yet, oldest first: each file holds other writes. */
  readonly earlierRescues?: readonly Rescue[];
}

export interface MailFailure {
  readonly why: string;
  /** ISO 8601, by the alpha's clock. */
  readonly since: string;
}

/** The archive that the alpha records (backup-archive). */
export interface ArchiveView {
  /** When alphas began to record. ISO 8601. */
  readonly since: string;
  /** The time of a cut that can be restored. A newer cut may exist, at most a minute newer. null: none yet. */
  readonly lastCutAt: string | null;
  /** How far the archive is behind the masters' offsets, rounded up to one digit. 0: less than two seconds. */
  readonly lagSeconds: number;
  readonly lagBytes: number;
  /** When the newest gap ended, and its reason. */
  readonly gapAt?: string;
  readonly gapWhy?: string;
  /** Why the present recording can't be restored until another backup is taken. */
  readonly noBase?: string;
  /** What fails. */
  readonly failed?: string;
  /** The newest cut is older than it should be. */
  readonly isLate?: boolean;
}

/** The backups that the alpha takes (backup-every). */
export interface BackupView {
  /** When the newest backup in a backup-dir was begun, ISO 8601; null: there is none. */
  readonly lastAt: string | null;
  /** When alphas began to look for backups, ISO 8601. Without a backup, overdue counts from here. */
  readonly since: string;
  /** Why the last attempt failed, or which backup-dir fails; absent if none does. */
  readonly failed?: string;
  /** The newest is older than three times backup-every. */
  readonly isOverdue?: boolean;
  /** Absent without backup-archive. */
  readonly archive?: ArchiveView;
  /** With backup-rehearse. */
  readonly rehearsal?: RehearsalView;
}

export interface RehearsalView {
  /** When a backup was last restored into a scratch cluster without a fault, ISO 8601; null: never. */
  readonly lastAt: string | null;
  /** Why the last attempt failed; absent when it did not. */
  readonly failed?: string;
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
  /** Why the alpha makes no decisions about data nodes at the moment; absent otherwise. The view still shows their last
      state. */
  readonly undecided?: string;
  /** Digest of the adopted twine.conf. */
  readonly confDigest: string;
  /** The function that places the keys in partitions. While the cluster holds data, only a resharding changes it. */
  readonly hashing?: Hashing;
  readonly partitions: readonly PartitionView[];
  readonly nodes: readonly NodeView[];
  /** Entries on status nodes that were malformed and were removed within the last hour, newest last; absent if there were
      none. */
  readonly malformed?: readonly MalformedEntry[];
  /** Absent without a backup-dir, and until the first alpha has looked for backups. */
  readonly backup?: BackupView;
  /** A mail could not be sent and is retried; absent otherwise. */
  readonly mailFailed?: MailFailure;
  /** Absent or null: none. */
  readonly restore?: RestoreView | null;
  /** Absent or null: none. */
  readonly cut?: CutView | null;
  /** Absent or null: none. */
  readonly reshard?: ReshardView | null;
  /** Absent: the partitions never changed. */
  readonly resharded?: ReshardedView;
  /** Absent: none. */
  readonly rotation?: RotationView;
}

/** The cluster's state, from the roles of its nodes. */
export function stateOf(view: Pick<View, "partitions" | "nodes" | "undecided">): ClusterState {
  if (view.partitions.some((partition) => partition.master === null)) return "HALT";
  const isWell = ({ role, inSync, troubles = [] }: NodeView): boolean =>
    role !== "dead" && inSync && troubles.length === 0;
  const allWell = view.undecided === undefined && view.nodes.every(isWell);
  return allWell ? "OK" : "DEGRADED";
}

/** Whether this view names a master of the partition that accepts writes. */
export function takesWrites(
  view: Pick<View, "partitions"> | undefined,
  partition: number,
): boolean {
  const found = view?.partitions.find(({ index }) => index === partition);
  return found !== undefined && found.master !== null && found.suspended !== true;
}

/** Negative when a is older than b. Epoch first, then revision. */
export function compareViews(
  a: { readonly epoch: number; readonly revision: number },
  b: { readonly epoch: number; readonly revision: number },
): number {
  return a.epoch - b.epoch || a.revision - b.revision;
}
