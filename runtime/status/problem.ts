// problem.ts: one problem of a cluster, or a note, as every format of twine-status shows it. Pure.

import type { TroubleCode } from "../core/view.ts";

export type ProblemCode =
  /** A problem of a data node other than its role. */
  | TroubleCode
  /** The alpha makes no decisions about data nodes at the moment. */
  | "UNDECIDED"
  /** The status nodes hold no view yet. */
  | "NO_VIEW"
  /** A majority of the status nodes lost their data: no monitor can become alpha any more. */
  | "REGISTER_LOST"
  /** A partition has no master. */
  | "NO_MASTER"
  | "FOLLOWING"
  /** No monitor renews the alpha's lease: the view may be stale. */
  | "NO_ALPHA"
  /** A status node does not answer this reader. */
  | "STATUS_SILENT"
  /** A status node of twine.conf belongs to another cluster. */
  | "STATUS_FOREIGN"
  /** A status node answers, but holds another view or none. */
  | "VIEW_NOT_HELD"
  | "NODE_DEAD"
  /** The own writes of a rogue master were saved to a file, or could not be saved. */
  | "RESCUED"
  | "RESCUE_FAILED"
  /** A data node is leaving the cluster. */
  | "RETIRING"
  /** The reader's twine.conf assigns keys to other partitions than the cluster. */
  | "HASHING_DIFFERS"
  /** An entry on a status node could not be read and was removed. */
  | "MALFORMED_ENTRY"
  /** The view on the status nodes is another cluster's. */
  | "CLUSTER_DIFFERS"
  /** The reader's twine.conf is not the adopted one. */
  | "CONF_DIFFERS"
  /** A monitor has another twine.conf than the adopted one. */
  | "OTHER_CONF"
  /** A data node runs with other settings than twine.conf has. */
  | "OTHER_SETTINGS"
  /** A mail about incidents could not be sent. */
  | "MAIL_FAILED"
  /** The newest backup is older than three times backup-every. */
  | "BACKUP_OVERDUE"
  /** The last attempt at a backup failed, or a backup-dir fails. */
  | "BACKUP_FAILED"
  /** The last rehearsal of a backup failed. */
  | "REHEARSAL_FAILED"
  /** The password is being rotated. */
  | "ROTATION"
  | "RESHARDING"

  /** The archive fails, needs a backup to begin from, or has recorded no moment lately. */
  | "ARCHIVE_BEHIND";

export interface StatusProblem {
  readonly code: ProblemCode;
  /** NOTE does not change the state. */
  readonly severity: "HALT" | "DEGRADED" | "NOTE";
  /** The subject: a node's name, `partition N`, `alpha`, `view`, `twine.conf`. */
  readonly subject: string;
  /** The host of that node, otherwise null. */
  readonly host: string | null;
  /** The sentence after the subject, without a full stop. */
  readonly text: string;
  /** The command to type; null when waiting is the remedy, or `text` names it. */
  readonly remedy: string | null;
}
