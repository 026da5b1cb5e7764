// setting-changes.ts: compares two redis.conf: which settings are changed in a running redis-server, and which it reads
// only at its start. Pure.
import { isAdditive } from "../../runtime/core/conf/redis-directives.ts";
import { parseRedisConf } from "../../runtime/core/conf/redis-values.ts";
import { isTakenAtStart } from "./diff-settings.ts";

/** Directives that Twine itself writes into a redis.conf: where the node listens and stores its files, and its role. */
const OF_TWINE = new Set([
  ...["port", "bind", "protected-mode", "databases", "dir", "logfile", "replicaof"],
  ...["replica-serve-stale-data", "replica-announce-ip", "replica-announce-port", "aclfile"],
  "masteruser",
]);

export interface SettingChange {
  readonly name: string;
  /** The argument of CONFIG SET; undefined: the server's default. */
  readonly value: string | undefined;
}

export interface ConfChange {
  /** By name. */
  readonly settings: readonly SettingChange[];
  /** Names of directives that a running redis-server can't change. */
  readonly atStart: readonly string[];
}

/** `before` and `now`: texts of a node's redis.conf. Comments and the order of directives are ignored. */
export function confChange(before: string, now: string): ConfChange {
  const [old, wanted] = [byName(before), byName(now)];
  const names = [...new Set([...old.keys(), ...wanted.keys()])].sort();
  const changed = names.filter((name) => old.get(name) !== wanted.get(name));
  const isLive = (name: string): boolean => !OF_TWINE.has(name) && !isTakenAtStart(name);
  return {
    settings: changed.filter(isLive).map((name) => ({ name, value: wanted.get(name) })),
    atStart: changed.filter((name) => !isLive(name)),
  };
}

/** Lines of a directive that adds up are joined to one value; for others the last line counts. */
function byName(text: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const { name, words } of parseRedisConf(text)) {
    const value = words.join(" ");
    const before = values.get(name) ?? "";
    const addsUp = isAdditive(name) && before !== "" && value !== "";
    values.set(name, addsUp ? `${before} ${value}` : value);
  }
  return values;
}
