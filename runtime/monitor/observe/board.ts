// board.ts: the notice board on the status nodes as monitors use it; register/notice-board.ts is the production twin.
import type { Request } from "../../core/request.ts";

export interface Board {
  /** What this monitor sees, for the others. */
  writeObserved(monitor: string, json: string): Promise<void>;
  /** monitor -> JSON. */
  readObserved(): Promise<ReadonlyMap<string, string>>;
  /** data node -> JSON of LastSeen, by the alpha of that epoch; nodes not named keep what is there. */
  writeOffsets(epoch: number, record: ReadonlyMap<string, string>): Promise<void>;
  readOffsets(): Promise<ReadonlyMap<string, string>>;
  readRequests(): Promise<readonly Request[]>;
  answerRequest(request: Request): Promise<void>;
  /** Tells whoever listens on the status nodes. Nobody has to: it is told and forgotten. */
  publishEvent(json: string): Promise<void>;
}
