// observations.ts: what goes into a decision, as types. Pure.
// observe/ fills these in; decide/ never learns how.
import type { Request } from "../../core/request.ts";
import type { NodeInfo } from "./info.ts";

/** unknown: not tried yet, or trying again just now; refused: nobody listens there; silent: no answer for down-after. */
export type Reach = "unknown" | "up" | "refused" | "silent";

/** What this monitor sees of one data node. */
export interface Sight {
  readonly reach: Reach;
  /** The last INFO on the connection that stands now; null before the first. */
  readonly info: NodeInfo | null;
  /** When that INFO was asked for, by this monitor's monotonic clock. */
  readonly askedAtMs: number;
}

/** What another monitor last wrote on the notice board. Only monitors whose entry advances are listed. */
export interface Peer {
  readonly confDigest: string;
  /** Data nodes that it can't get an answer from. */
  readonly suspects: ReadonlySet<string>;
}

/** A data node as it was seen last, once a second, kept on the status nodes over any outage. */
export interface LastSeen {
  readonly replicationId: string;
  readonly offset: number;
  readonly keys: number;
}

export interface Observations {
  readonly data: ReadonlyMap<string, Sight>;
  /** Status nodes, monitors and routers: up or not; absent while not known. */
  readonly others: ReadonlyMap<string, boolean>;
  /** By monitor name, without this one. */
  readonly peers: ReadonlyMap<string, Peer>;
  readonly lastSeen: ReadonlyMap<string, LastSeen>;
  /** False until the status nodes were asked for what was seen last: without that, nothing is known to be lost. */
  readonly isLastSeenRead: boolean;
  readonly requests: readonly Request[];
}
