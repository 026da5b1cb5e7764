// open-targets.ts: the targets that twine.conf names.
import { resolve, dirname } from "node:path";
import { parseS3Place } from "../../core/backup-place.ts";
import { TwineError } from "../../core/errors.ts";
import type { ClusterConfig } from "../../core/cluster.ts";
import { folderTarget, type FolderTargetOptions } from "./folder-target.ts";
import { s3Target } from "./s3-target.ts";
import type { BackupTarget } from "./target.ts";

export type TargetPorts = Pick<FolderTargetOptions, "clock" | "owner"> & {
  readonly env: NodeJS.ProcessEnv;
  /** A bucket keeps this waiting; for people. */
  readonly onWaiting?: (text: string) => void;
};

/** One per backup-dir, in the order of the file; relative folders lie beside twine.conf. Throws BACKUP_DIR_MISSING. */
export function openTargets({ file, settings }: ClusterConfig, ports: TargetPorts): BackupTarget[] {
  const { backupDirs, cluster } = settings;
  if (backupDirs.length === 0) {
    throw new TwineError({
      code: "BACKUP_DIR_MISSING",
      message: `${file} names no place for backups`,
      remedy: "write a line such as: backup-dir backups, or backup-dir s3://bucket/prefix",
    });
  }
  const { clock, owner, env, onWaiting } = ports;
  return backupDirs.map((name) => {
    const place = parseS3Place(name);
    if (place !== undefined)
      return s3Target({ name, place, cluster, clock, owner, env, onWaiting });
    const folder = resolve(dirname(file), name);
    return folderTarget({ clock, owner, name, folder, cluster });
  });
}
