// prepare-files.ts: files of any redis-server as what is to be restored: RDBs as they are, append only files as RDBs of what
// they leave, all together through the splitter.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { ReadChunks } from "../../replication/aof/examine-aof.ts";
import { aofToRdb, type CutOff } from "./aof-rdb.ts";
import { prepareRdbs, type PlainRdb, type Prepared, type PrepareOptions } from "./prepare.ts";

export interface FilesOfRedis {
  readonly rdb: readonly string[];
  /** Append only files, and folders that hold one in parts. */
  readonly aof: readonly string[];
  readonly allowTruncated: boolean;
  /** Absent: the machine's files. */
  readonly readAof?: ReadChunks | undefined;
}

/** Throws what aofToRdb and prepareRdbs throw. */
export async function prepareFiles(
  { rdb, aof, allowTruncated, readAof }: FilesOfRedis,
  options: PrepareOptions,
): Promise<Prepared> {
  const { folder } = options;
  const loaded: PlainRdb[] = [];
  const cutOff: CutOff[] = [];
  for (const [index, name] of aof.entries()) {
    const path = join(folder, `aof-${index}.rdb`);
    const found = await aofToRdb(name, path, { ...options, allowTruncated, readAof });
    if (found !== undefined) cutOff.push(found);
    loaded.push({ name, path, isOwn: true });
  }
  const prepared = await prepareRdbs(
    [...rdb.map((path) => ({ name: path, path })), ...loaded],
    options,
  );
  for (const { path } of loaded) await rm(path);
  return { ...prepared, cutOff };
}
