// digest.ts: the canonical print of a twine.conf and its digest, by which monitors compare their files. Pure.
// Comments, spaces, the order of lines and spelled-out defaults make no difference. Repeated `redis` lines of one name
// keep their order, because it matters to Redis.
import { createHash } from "node:crypto";
import type { ClusterConfig } from "../cluster.ts";
import { byName, compareNames } from "../natural-order.ts";
import { printConf } from "./print.ts";

/** SHA-256 of the canonical print, 64 hex digits. */
export function confDigest(config: ClusterConfig): string {
  return digestOfConf(canonicalConf(config));
}

/** The digest of a canonical print. */
export function digestOfConf(canonical: string): string {
  return createHash("sha256").update(canonical).digest("hex");
}

/** The file as stored on the status nodes. It parses to the same configuration. */
export function canonicalConf(config: ClusterConfig): string {
  const { settings } = config;
  return printConf({
    ...config,
    nodes: byName(config.nodes),
    settings: {
      ...settings,
      // The sort is stable: equal names keep their order.
      redis: settings.redis.toSorted((a, b) => compareNames(a.name, b.name)),
      backupDirs: settings.backupDirs.toSorted(),
      alertMail: settings.alertMail.toSorted(),
      httpHosts: settings.httpHosts.toSorted(),
    },
  });
}
