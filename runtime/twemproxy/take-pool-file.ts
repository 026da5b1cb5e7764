// take-pool-file.ts: the nutcracker.yml of a container at its start: the plan's settings with the present masters.
//
//   servers: as the Sentinels report them, else as in the file of the last start, else the plan's, the first of each partition
//
// twemproxy must not begin with the plan's: a first master that lost that role would get writes until Sentinel was asked.
import { readIfThere, replaceFile } from "./live-file.ts";
import type { MastersSource } from "./keep-masters.ts";
import { POOL_FILE_BYTES_MAX, readServers, withServers, type ServerAddress } from "./pool-file.ts";

/** Writes `file`. Throws FILE_UNREADABLE, POOL_UNREADABLE for `from`, FILE_UNWRITABLE. */
export async function takePoolFile(
  from: string,
  file: string,
  source: Pick<MastersSource, "read">,
): Promise<void> {
  const planned = (await readIfThere(from, POOL_FILE_BYTES_MAX)) ?? "";
  const servers = readServers(planned, from);
  const last = await lastServers(file, servers.length);
  // What the reading complains of is reported by the first pass of keepMasters.
  const { masters } = await source.read();
  const wanted = servers.map((server, index) => masters[index] ?? last[index] ?? server);
  await replaceFile(file, withServers(planned, from, wanted), from);
}

/** Empty for a file that is missing, incomplete or of another number of partitions. */
async function lastServers(file: string, count: number): Promise<readonly ServerAddress[]> {
  try {
    const servers = readServers((await readIfThere(file, POOL_FILE_BYTES_MAX)) ?? "", file);
    return servers.length === count ? servers : [];
  } catch {
    return [];
  }
}
