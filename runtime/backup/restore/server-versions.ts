// server-versions.ts: which RDBs a node can load. Pure. A newer one would be refused only after the node has dropped its data.
import type { RdbFormat } from "../../replication/rdb/rdb-writer.ts";

/** Server version from which on, and the newest RDB version of each kind that it loads. */
const REDIS = [
  [[7, 4], 12],
  [[7, 2], 11],
  [[7, 0], 10],
  [[5, 0], 9],
] as const;

/** Why a server with this INFO can't load such an RDB; undefined: it can. */
export function whyNotLoadable(info: string, { magic, version }: RdbFormat): string | undefined {
  const valkey = /^valkey_version:(\d+)\.(\d+)/m.exec(info);
  const redis = /^redis_version:(\d+)\.(\d+)/m.exec(info);
  const [name, found] = valkey === null ? ["Redis", redis] : ["Valkey", valkey];
  const [major, minor] = [Number(found?.[1] ?? 0), Number(found?.[2] ?? 0)];
  const what = `RDB version ${magic === "VALKEY" ? "VALKEY " : ""}${version}`;
  const why = `it runs ${name} ${major}.${minor}, which can't load ${what}`;
  if (valkey !== null) {
    const isFine = magic === "VALKEY" ? major >= 9 && version <= 80 : version <= 11;
    return isFine ? undefined : why;
  }
  const [, newest = 0] = REDIS.find(([[a, b]]) => major > a || (major === a && minor >= b)) ?? [];
  return magic === "REDIS" && version <= newest ? undefined : why;
}
