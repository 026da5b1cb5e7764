// observations.ts: the types of the observations that deciders use. Pure.
// observe/ fills them in.
import type { Request } from "../../../core/request.ts";
import type { RotationNote } from "../../../core/rotation.ts";
import type { CountedRefusal, NodeInfo } from "./info.ts";

/** unknown: not asked yet, or being asked again; refused: no process listens; silent: no answer for down-after. */
export type Reach = "unknown" | "up" | "refused" | "silent";

/** What one monitor knows of one data node. */
export interface NodeObservation {
  readonly reach: Reach;
  /** The last INFO on the present connection; null before the first. */
  readonly info: NodeInfo | null;
  /** When that INFO was asked for, by the monitor's monotonic clock. */
  readonly askedAtMs: number;
  /** How long it has been silent; absent while it is not. */
  readonly silentForMs?: number;
  /** Its last answer was BUSY. running: a script or function runs; unkillable: it could not be ended (UNKILLABLE). */
  readonly script?: "running" | "unkillable";
  /** How its settings differ from the `redis` lines of twine.conf, as text; "": not at all; absent: not asked yet. */
  readonly otherSettings?: string;
  /** Milliseconds until the node counts as silent; set when its answer is outstanding for a quarter of down-after. */
  readonly silentInMs?: number;
  /** Kinds of errors that clients got within the last minute. */
  readonly refusedLately?: readonly CountedRefusal[];
}

/** Another monitor's last report in the shared hashes. Only monitors whose entry advances are listed. */
export interface Peer {
  readonly confDigest: string;
  /** Data nodes that don't answer it. */
  readonly suspects: ReadonlySet<string>;
  /** Most data nodes are silent to it; older versions don't report this. */
  readonly isCutOff?: boolean;
}

/** The last state of a data node, recorded once a second on the status nodes, where it survives outages. */
export interface LastSeen {
  readonly replicationId: string;
  readonly offset: number;
  readonly keys: number;
}

export interface Observations {
  readonly data: ReadonlyMap<string, NodeObservation>;
  /** How long most data nodes have been silent to this monitor; 0 while they are not. */
  readonly cutOffForMs: number;
  /** Status nodes, monitors and routers: whether they are up; absent while unknown. */
  readonly others: ReadonlyMap<string, boolean>;
  /** By monitor name, without this one. */
  readonly peers: ReadonlyMap<string, Peer>;
  readonly lastSeen: ReadonlyMap<string, LastSeen>;
  /** False until `lastSeen` was read from the status nodes. Without it a loss of data can't be seen. */
  readonly isLastSeenRead: boolean;
  readonly requests: readonly Request[];
  /** By host; absent until it was read. */
  readonly rotation?: ReadonlyMap<string, RotationNote> | undefined;
}
