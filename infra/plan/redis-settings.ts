// redis-settings.ts: the directives of a data node that twine.conf may change. Pure.
// Other directives are refused when twine.conf is parsed (core/conf/redis-directives.ts). A default is omitted when
// twine.conf names the same directive; the user's lines follow in the order of the file, so that repeatable ones (save,
// client-output-buffer-limit) keep their meaning.
import type { RedisDirective } from "../../runtime/core/cluster.ts";

export interface RedisSetting {
  readonly name: string;
  readonly value: string;
}

/** The last value in twine.conf of one directive, or undefined. */
function lastValue(directives: readonly RedisDirective[], name: string): string | undefined {
  return directives.findLast((directive) => directive.name.toLowerCase() === name)?.value;
}

export function isAppendOnly(directives: readonly RedisDirective[]): boolean {
  return lastValue(directives, "appendonly")?.toLowerCase() === "yes";
}

/** Share of down-after: after this time a node with a running script answers BUSY, so that the alpha ends the script before
    the node would be failed over for it. Redis's own 5 s would be too late. */
const BUSY_SHARE = 0.75;
const REDIS_BUSY_MS = 5000;
/** Two names of one directive, the second one since Redis 7. */
const BUSY_NAMES = ["lua-time-limit", "busy-reply-threshold"];

/** The directives of a data node's redis.conf besides its fixed part, defaults first. */
export function dataSettings(
  directives: readonly RedisDirective[],
  redisMajor: number,
  downAfterMs: number,
): RedisSetting[] {
  const defaults: RedisSetting[] = [
    { name: "save", value: "60 1" },
    { name: "repl-diskless-sync", value: "yes" },
    { name: "repl-diskless-sync-delay", value: "0" },
  ];
  // With an append only file there is nothing to save at the end, and a save would occupy the port for seconds.
  if (isAppendOnly(directives) && redisMajor >= 7) {
    defaults.push({ name: "shutdown-on-sigterm", value: "nosave" });
  }
  // Redis's own "no" ends a replica with a panic at the first write after its disk was full or its fork failed: a disk that
  // all nodes share would take them all. The monitors see such a node and promote another one before it.
  if (redisMajor >= 7) defaults.push({ name: "replica-ignore-disk-write-errors", value: "yes" });
  const named = new Set(directives.map((directive) => directive.name.toLowerCase()));
  const busyMs = Math.floor(downAfterMs * BUSY_SHARE);
  if (busyMs < REDIS_BUSY_MS && !BUSY_NAMES.some((name) => named.has(name))) {
    const [old = "", name = ""] = BUSY_NAMES;
    defaults.push({ name: redisMajor >= 7 ? name : old, value: String(busyMs) });
  }
  return [
    ...defaults.filter((setting) => !named.has(setting.name)),
    ...directives.map(({ name, value }) => ({ name, value })),
  ];
}
