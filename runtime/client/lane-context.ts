// lane-context.ts: what all lanes of one client share. The topology is the view of a Twine cluster, or the replica sets
// that a RedCluster keeps by hand: the lanes don't know which.
import type { Settings } from "../core/cluster.ts";
import type { Clock } from "../ports/clock.ts";
import type { LinkTls } from "../ports/link-tls.ts";
import type { NodeTarget } from "./node-connection.ts";

/** Who serves which partition. Several calls in one turn of the event loop give the same answers. */
export interface Topology {
  readonly partitionCount: number;
  master(partition: number): NodeTarget | undefined;
  /** Those that reads may go to instead of the master; none: all reads go to the master. */
  readers(partition: number): readonly NodeTarget[];
  /** Writes are held while this is false. */
  mayWrite(): boolean;
  /** Why nothing may be routed at all, or undefined. */
  clash(): string | undefined;
  /** Called whenever one of the answers above may have changed; the returned function stops it. */
  onChange(task: () => void): () => void;
}

export interface LaneContext {
  readonly topology: Topology;
  readonly clock: Clock;
  readonly holdForMs: number;
  readonly holdBytesMax: number;
  readonly ackReplicas: number;
  readonly ackTimeoutMs: number;
  readonly retryUnknown: Settings["retryUnknown"];
  readonly connectTimeoutMs: number;
  /** undefined: nodes are spoken to without TLS. */
  readonly tls: LinkTls | undefined;
  /** A replica that owes a reply for so long is left for the master. */
  readonly readerSilentMs: number;
  /** Of the requests that are held by any lane. */
  heldBytes: number;
  /** A connection to the node broke or could not be opened. */
  onFailure(partition: number, target: NodeTarget, why: string): void;
  /** A request has begun to wait although its lane has been asked to send it. */
  onHeld(partition: number, why: string): void;
  /** The partition's master takes requests, or it has a new one and none waits: an outage that was told of is over. */
  onServed(partition: number): void;
}
