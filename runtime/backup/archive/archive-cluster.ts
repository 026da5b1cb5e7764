// archive-cluster.ts: the archiver of a running cluster, with what it needs of it: whom to read from, and the alpha's cuts.
import { randomBytes, randomUUID } from "node:crypto";
import { hostname } from "node:os";
import type { ClusterConfig } from "../../core/cluster.ts";
import { credentialsOf, type Secret } from "../../core/credentials.ts";
import type { Clock } from "../../ports/clock.ts";
import { openRedisLink } from "../../ports/redis-link.ts";
import { loadNodesTls } from "../../ports/tls-files.ts";
import { readChosenView } from "../../register/chosen-view.ts";
import { openSharedHashes } from "../../register/shared-hashes.ts";
import { cutPorts } from "../ask-cut.ts";
import type { Recipients } from "../encryption.ts";
import type { BackupTarget } from "../targets/target.ts";
import type { ArchiveState } from "../../core/archive-state.ts";
import { runArchiver } from "./archiver.ts";

export interface ArchiveClusterOptions {
  readonly config: ClusterConfig;
  readonly password: Secret | undefined;
  readonly targets: readonly BackupTarget[];
  /** Absent: not encrypted. */
  readonly recipients: Recipients | undefined;
  readonly twineVersion: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onState: (state: ArchiveState) => void;
}

/** Until the signal is aborted. */
export async function archiveCluster(options: ArchiveClusterOptions): Promise<void> {
  const { config, password, targets, recipients, twineVersion, clock, signal, onState } = options;
  const { cluster, partitions, backupCompress, backupCutEveryMs } = config.settings;
  const status = { config, password, clock, openLink: openRedisLink };
  const board = openSharedHashes({ ...status, user: "monitor" });
  const by = `the archive, process ${process.pid} on ${hostname()}`;
  const readView = () => readChosenView({ ...status, user: "app" });
  const { ask, sourcesNow } = cutPorts({ board, clock, newId: randomUUID, by, readView });
  try {
    await runArchiver({
      ...{ cluster, partitions, twineVersion, targets, recipients, compression: backupCompress },
      ...{ credentials: credentialsOf("monitor", password), tls: loadNodesTls(config) },
      ...{ signal, clock, sourcesNow, askCut: ask, cutEveryMs: backupCutEveryMs, onState },
      pid: process.pid,
      newSuffix: () => randomBytes(3).toString("hex"),
    });
  } finally {
    await board.close();
  }
}
