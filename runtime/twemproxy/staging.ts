// staging.ts: the file through which one user tells another who the masters are.
//
//   Sentinel's user   asks Sentinel, writes the file             (twine-twemproxy --notify, run by Sentinel after a failover)
//   twemproxy's user  watches it, takes the servers from it      (twine-twemproxy NAME with twemproxy-staging in twine.conf)
//
// Only the addresses are taken, and only those of nodes of twine.conf: who may write this file may choose among the nodes of a
// partition, and nothing else.
import { watch, type FSWatcher } from "node:fs";
import { basename, dirname } from "node:path";
import { addressOf, nodesOf, type ClusterConfig } from "../core/cluster.ts";
import { TwineError, type Problem } from "../core/errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { MastersSource } from "./keep-masters.ts";
import { readIfThere } from "./live-file.ts";
import {
  POOL_FILE_BYTES_MAX,
  isSameAddress,
  printAddress,
  readServers,
  type ServerAddress,
} from "./pool-file.ts";

/** A writer that does not rename is seen half way; it gets this time to finish. */
const HALF_WRITTEN_MS = 200;

export function stagingSource(config: ClusterConfig, path: string, clock: Clock): MastersSource {
  let watcher: FSWatcher | undefined;
  const nobody = Array.from({ length: config.settings.partitions }, () => undefined);
  const read = async (): Promise<readonly (ServerAddress | undefined)[]> => {
    const text = await readIfThere(path, POOL_FILE_BYTES_MAX);
    // Nobody has written it yet: the masters are still those of nutcracker.yml.
    return text === undefined ? nobody : stagedMasters(config, text, path);
  };
  return {
    read: async () => {
      try {
        return { masters: await read(), problems: [] };
      } catch {
        await clock.delay(HALF_WRITTEN_MS);
      }
      try {
        return { masters: await read(), problems: [] };
      } catch (error) {
        if (!(error instanceof TwineError)) throw error;
        return { masters: nobody, problems: error.problems };
      }
    },
    follow: (onChange) => {
      try {
        // The folder, because a rename puts another file in its place.
        watcher = watch(dirname(path), (_event, name) => {
          if (name === null || name === basename(path)) onChange();
        });
        watcher.on("error", () => undefined);
      } catch {
        // It is looked at every second in any case.
      }
    },
    close: () => {
      watcher?.close();
    },
  };
}

/** By partition. Throws POOL_UNREADABLE, STAGING_STRANGE. */
export function stagedMasters(config: ClusterConfig, text: string, path: string): ServerAddress[] {
  const servers = readServers(text, path);
  const data = nodesOf(config, "data");
  const { partitions } = config.settings;
  if (servers.length !== partitions) {
    throw strange(
      path,
      `it has ${servers.length} servers, and twine.conf has ${partitions} partitions`,
    );
  }
  for (const [partition, server] of servers.entries()) {
    const isOne = data.some(
      (node) =>
        node.partition === partition &&
        isSameAddress({ host: addressOf(node.host), port: node.port }, server),
    );
    if (!isOne) throw strange(path, `${printAddress(server)} is no node of partition ${partition}`);
  }
  return servers;
}

function strange(path: string, why: string): TwineError {
  const problem: Problem = {
    code: "STAGING_STRANGE",
    message: `${path} is not taken, and twemproxy runs on as it is: ${why}`,
    remedy: "twine-twemproxy --notify writes it anew, from what Sentinel says",
  };
  return new TwineError(problem);
}
