// shared-hashes.ts: the hashes on the status nodes, in which monitors and tools exchange entries; implemented in
// register/shared-hashes.ts.
import type { Request } from "../../core/request.ts";
import type { MalformedEntry } from "../../core/shared-entries.ts";

export interface SharedHashes {
  /** Writes this monitor's report for the others. */
  writeObserved(monitor: string, json: string): Promise<void>;
  /** monitor -> JSON. */
  readObserved(): Promise<ReadonlyMap<string, string>>;
  /** data node -> JSON of LastSeen, by the alpha of that epoch; entries of other nodes stay. */
  writeOffsets(epoch: number, record: ReadonlyMap<string, string>): Promise<void>;
  readOffsets(): Promise<ReadonlyMap<string, string>>;
  /** host -> JSON of RotationNote; absent: rotation is not read. */
  readRotation?(): Promise<ReadonlyMap<string, string>>;
  readRequests(): Promise<readonly Request[]>;
  /** Whether this monitor may execute the request: its tool can't withdraw it any more. Never rejects. */
  takeRequest(request: Request): Promise<boolean>;
  answerRequest(request: Request): Promise<void>;
  /** Calls `task` when a tool may have asked; absent: requests are only read at intervals. */
  onRequestNews?(task: () => void): () => void;
  /** Publishes an event on the status nodes, for subscribers. It is not stored. */
  publishEvent(json: string): Promise<void>;
  /** The malformed entries that were removed last; absent: entries are not checked. */
  malformed?(): readonly MalformedEntry[];
}
