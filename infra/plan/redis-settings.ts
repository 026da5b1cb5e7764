// redis-settings.ts: the directives of a data node that twine.conf may change. Pure.
// Those that it may not are refused where twine.conf is read (core/conf/redis-directives.ts).
// A default steps back when twine.conf names the same directive; the user's lines follow in the order of the file,
// so that repeatable ones (save, client-output-buffer-limit) keep their sense.
import type { RedisDirective } from "../../runtime/core/cluster.ts";

export interface RedisSetting {
  readonly name: string;
  readonly value: string;
}

/** The last word of twine.conf on one directive, or undefined. */
function lastValue(directives: readonly RedisDirective[], name: string): string | undefined {
  return directives.findLast((directive) => directive.name.toLowerCase() === name)?.value;
}

export function isAppendOnly(directives: readonly RedisDirective[]): boolean {
  return lastValue(directives, "appendonly")?.toLowerCase() === "yes";
}

/** What a data node's redis.conf says beyond its fixed part, defaults first. */
export function dataSettings(
  directives: readonly RedisDirective[],
  redisMajor: number,
): RedisSetting[] {
  const defaults: RedisSetting[] = [
    { name: "save", value: "60 1" },
    { name: "repl-diskless-sync", value: "yes" },
    { name: "repl-diskless-sync-delay", value: "0" },
  ];
  // With an append only file there is nothing to save at the end, and a save would keep the port for seconds.
  if (isAppendOnly(directives) && redisMajor >= 7) {
    defaults.push({ name: "shutdown-on-sigterm", value: "nosave" });
  }
  const named = new Set(directives.map((directive) => directive.name.toLowerCase()));
  return [
    ...defaults.filter((setting) => !named.has(setting.name)),
    ...directives.map(({ name, value }) => ({ name, value })),
  ];
}
