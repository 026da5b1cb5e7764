// twemproxy-pool.ts: the hash settings with which twemproxy places every key as twine.conf does. Pure.
// twemproxy's crc32a is zlib's CRC-32, which is Twine's crc32. Its crc32 and crc16 are different functions.
import type { HashSetting, TwemproxyHash } from "./cluster.ts";
import { masterName } from "./sentinel-nodes.ts";

export interface TwemproxyPool {
  readonly hash: TwemproxyHash;
  readonly distribution: "modula" | "ketama";
  /** By partition. The names matter only with ketama. */
  readonly servers: readonly { readonly name: string; readonly weight: number }[];
}

/** undefined: twemproxy has no such function or distribution. */
export function twemproxyPool(hash: HashSetting, partitions: number): TwemproxyPool | undefined {
  if (hash.kind !== "builtin" || hash.name === "crc16") return undefined;
  const name =
    hash.name === "crc32" ? "crc32a" : (hash.name.slice("twemproxy-".length) as TwemproxyHash);
  const { distribution } = hash;
  if (distribution?.kind === "slots") return undefined;
  if (distribution !== undefined) {
    return { hash: name, distribution: distribution.kind, servers: distribution.servers };
  }
  const servers = Array.from({ length: partitions }, (_, partition) => ({
    ...{ name: masterName(partition), weight: 1 },
  }));
  return { hash: name, distribution: "modula", servers };
}
