// view-source.ts: the view of the cluster for a router or a client. follow.ts implements it; tests may use their own.
import type { View } from "../core/view.ts";

export interface ViewSource {
  /** The newest chosen view, or undefined before the first. */
  current(): View | undefined;
  /** True while a majority of the status nodes has confirmed that (epoch, revision) within the lease. */
  isConfirmed(): boolean;
  /** Calls `task` at every new view and whenever isConfirmed() changes. The returned function cancels that. */
  onChange(task: () => void): () => void;
  close(): Promise<void>;
}
