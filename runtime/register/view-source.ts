// view-source.ts: how a router or a client sees the cluster; follow.ts keeps it from the status nodes,
// a test may keep it by hand.
import type { View } from "../core/view.ts";

export interface ViewSource {
  /** The newest chosen view, or undefined before the first. */
  current(): View | undefined;
  /** True while a majority of the status nodes has confirmed that (epoch, revision) within the lease. */
  isConfirmed(): boolean;
  /** Called at every new view and whenever isConfirmed() changes; the returned function stops it. */
  onChange(task: () => void): () => void;
  close(): Promise<void>;
}
