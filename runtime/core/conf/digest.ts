// digest.ts: one short text by which monitors know that they hold the same twine.conf. Pure.
// Comments, spaces, the order of lines and defaults spelled out or left out make no difference.
// Repeated `redis` lines of one name keep their order, because for Redis it counts.
import { createHash } from "node:crypto";
import type { ClusterConfig } from "../cluster.ts";
import { byName, compareNames } from "../natural-order.ts";
import { printConf } from "./print.ts";

/** SHA-256 of the canonical print, 64 hex digits. */
export function confDigest(config: ClusterConfig): string {
  const { settings } = config;
  const canonical = printConf({
    ...config,
    nodes: byName(config.nodes),
    settings: {
      ...settings,
      // A stable sort: equal names stay in their order.
      redis: settings.redis.toSorted((a, b) => compareNames(a.name, b.name)),
      backupDirs: settings.backupDirs.toSorted(),
      alertMail: settings.alertMail.toSorted(),
    },
  });
  return createHash("sha256").update(canonical).digest("hex");
}
