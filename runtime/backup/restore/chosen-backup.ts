// chosen-backup.ts: the backup that somebody names, in a backup-dir of twine.conf or wherever its path leads.
import { resolve } from "node:path";
import { isUrl, splitCopyPath } from "../../core/backup-place.ts";
import type { ClusterConfig } from "../../core/cluster.ts";
import { TwineError, type Problem } from "../../core/errors.ts";
import { choose, listBackups, type FoundBackup, type Listing } from "../list-backups.ts";
import { openTargets, type TargetPorts } from "../targets/open-targets.ts";
import type { BackupTarget } from "../targets/target.ts";

/** `which` is an id, the path of a copy, or latest. Throws BACKUP_UNKNOWN with what kept others from being found. */
export async function chosenBackup(
  config: ClusterConfig,
  which: string,
  ports: TargetPorts,
): Promise<FoundBackup> {
  const { targets, id } = targetsFor(config, which, ports);
  const listing = await listBackups(targets);
  const [found] = choose(listing.copies, id);
  if (found !== undefined) return found;
  throw notFound(id, listing, unknown(which, targets));
}

/** One that is there, and can't be used, is not unknown as well. */
export function notFound(
  id: string,
  { problems, unusable }: Pick<Listing, "problems" | "unusable">,
  unknown: Problem,
): TwineError {
  return new TwineError(unusable.get(id) ?? [...problems, unknown]);
}

function unknown(which: string, targets: readonly BackupTarget[]): Problem {
  const folders = targets.filter(({ name }) => !isUrl(name));
  const where = targets.map(({ name }) => name).join(", ");
  if (folders.length === 0 || which.includes("/")) {
    const remedy =
      "twine-backup --list shows the backups that there are; a folder without manifest.json is an interrupted one";
    return { code: "BACKUP_UNKNOWN", message: `there is no backup ${which} in ${where}`, remedy };
  }
  return {
    code: "BACKUP_UNKNOWN",
    message: `there is no backup ${which} in ${where} on this host`,
    remedy:
      "twine-backup --list shows the backups that there are. The alpha writes into the folder of its own host: if the hosts " +
      "share no folder, run this on that host (twine-status shows the alpha), or copy the backup here and name its path",
  };
}

/** Where that backup is to be looked for, and its id; latest stays what it is. */
export function targetsFor(
  config: ClusterConfig,
  which: string,
  ports: TargetPorts,
): { readonly targets: readonly BackupTarget[]; readonly id: string } {
  const { cluster } = config.settings;
  // A path names its own folder, which may be another cluster's or on another disk.
  const path = splitCopyPath(which.includes("/") && !isUrl(which) ? resolve(which) : which);
  const id = path?.id ?? which;
  const named =
    path === undefined
      ? undefined
      : {
          ...config,
          settings: {
            ...config.settings,
            backupDirs: [path.place],
            cluster: clusterIn(id) ?? cluster,
          },
        };
  return { targets: openTargets(named ?? config, ports), id };
}

/** The cluster's name in a backup's. */
function clusterIn(id: string): string | undefined {
  return /^(.+)-\d{8}T\d{6}Z-[0-9a-f]{6}$/.exec(id)?.[1];
}
