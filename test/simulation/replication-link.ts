// replication-link.ts: what replication.ts needs of the world around it, and the two ends of one of its connections.
import type { SeededRandom } from "../support/seeded-random.ts";
import type { Stream } from "./network.ts";
import type { Replication } from "./replication.ts";

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** What a node holds: the numbers of the writes, in the order in which they were executed. Only ever appended to. */
export type Writes = number[];

/** A part of `writes` that is not going to change: the first `count`. */
export interface Snapshot {
  readonly writes: Writes;
  readonly count: number;
  readonly replicationId: string;
  readonly offset: number;
}

/** What replication needs of the node that it belongs to. */
export interface ReplicationSurroundings {
  readonly name: string;
  readonly port: number;
  readonly random: SeededRandom;
  /** Between this node and another, in order. */
  streamTo(other: Replication): Stream;
  /** Runs in the present life of this node's process, when it is not paused. */
  run(life: number, task: () => void): void;
  life(): number;
  isUp(): boolean;
  isMute(): boolean;
  after(delayMs: number, task: () => void): void;
  at(address: Address): Replication | undefined;
  isLoading(): boolean;
  setLoading(isLoading: boolean): void;
  /** The whole dataset became another one. */
  replaced(): void;
  /** Writes are about to be appended, or were. */
  appended(isBefore: boolean): void;
  /** A downstream acknowledged more, or is gone. */
  acknowledged(): void;
  readonly retryMs: number;
  readonly backlogSize: number;
  /** A disk or network that takes its time: until the snapshot is made, and until it is loaded. */
  syncMs(): number;
}

/** One upstream and one downstream end. */
export interface ReplicationLink {
  readonly up: Replication;
  readonly down: Replication;
  readonly upLife: number;
  readonly downLife: number;
  readonly toDown: Stream;
  readonly toUp: Stream;
  state: "snapshot" | "online";
  ackOffset: number;
  isUpOpen: boolean;
}

/** Nobody listens on port 1: a replica of nowhere. */
export const NOWHERE: Address = { host: "127.0.0.1", port: 1 };
