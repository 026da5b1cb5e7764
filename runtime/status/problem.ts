// problem.ts: one thing that is wrong with a cluster, or worth a note, as every format of twine-status shows it. Pure.

export type ProblemCode =
  /** The status nodes hold no view yet. */
  | "NO_VIEW"
  /** A majority of the status nodes lost what it held: no monitor can ever become alpha. */
  | "REGISTER_LOST"
  /** A partition has no master. */
  | "NO_MASTER"
  /** Nobody renews the lease of alpha: the view may be stale. */
  | "NO_ALPHA"
  /** A status node does not answer this reader. */
  | "STATUS_SILENT"
  /** A status node of twine.conf belongs to another cluster. */
  | "STATUS_FOREIGN"
  /** A status node answers, but holds another view or none. */
  | "VIEW_NOT_HELD"
  | "NODE_DEAD"
  | "NOT_IN_SYNC"
  /** A rogue master's own writes were saved to a file, or could not be. */
  | "RESCUED"
  | "RESCUE_FAILED"
  /** A data node leaves the cluster. */
  | "RETIRING"
  /** The reader's twine.conf sends keys to other partitions than those where they lie. */
  | "HASHING_DIFFERS"
  /** The view on the status nodes is another cluster's. */
  | "CLUSTER_DIFFERS"
  /** The reader's twine.conf and the view name different nodes. */
  | "CONF_DIFFERS";

export interface StatusProblem {
  readonly code: ProblemCode;
  /** NOTE changes no state. */
  readonly severity: "HALT" | "DEGRADED" | "NOTE";
  /** What it is about: a node's name, `partition N`, `alpha`, `view`, `twine.conf`. */
  readonly subject: string;
  /** The host of that node, else null. */
  readonly host: string | null;
  /** A sentence's rest after the subject, without a full stop. */
  readonly text: string;
  /** The command to give, or null when waiting is the remedy or `text` names it. */
  readonly remedy: string | null;
}
