// source-function.ts: the partition function of a backup, where it is a built-in or its file is here.
import { dirname, resolve } from "node:path";
import { parseHash } from "../../core/conf/hash-setting.ts";
import type { Hashing } from "../../core/hashing.ts";
import { openPartitioner } from "../../ports/hash-source.ts";
import type { Partitioner } from "../../ports/partitioner.ts";

/** `file`: this twine.conf, beside which the function's file is looked for. undefined: it is not here. */
export async function sourceFunction(
  hashing: Hashing,
  file: string,
): Promise<Partitioner | undefined> {
  const hash = parseHash(hashing.name);
  if (typeof hash === "string") return undefined;
  const { partitions, tag } = hashing;
  const setup = { hash, partitions, hashTag: tag ?? undefined, folder: dirname(resolve(file)) };
  return openPartitioner(setup).catch(() => undefined);
}
