// notify.ts: what Sentinel runs after a failover where twemproxy is another user's: who is master now goes into the staging file.
import { TwineError } from "../core/errors.ts";
import type { MastersReading } from "./sentinel-panel.ts";
import { readIfThere, replaceOrOverwrite } from "./live-file.ts";
import {
  POOL_FILE_BYTES_MAX,
  readServers,
  withoutPassword,
  withServers,
  type ServerAddress,
} from "./pool-file.ts";

export interface Notification {
  readonly reading: MastersReading;
  /** A nutcracker.yml with the settings. */
  readonly file: string;
  readonly staging: string;
}

/** The masters that were written. Throws what the reading complains of, and POOL_UNREADABLE, FILE_UNWRITABLE: nothing was written then. */
export async function notify({ reading, file, staging }: Notification): Promise<ServerAddress[]> {
  if (reading.problems.length > 0) throw new TwineError(reading.problems);
  const text = await readIfThere(file, POOL_FILE_BYTES_MAX);
  if (text === undefined) throw missing(file);
  const known = readServers(text, file);
  const masters = known.map((server, partition) => reading.masters[partition] ?? server);
  // Only the addresses are read from it, by another user.
  const staged = withoutPassword(withServers(text, file, masters), file);
  await replaceOrOverwrite(staging, staged);
  return masters.map(({ host, port }) => ({ host, port }));
}

function missing(file: string): TwineError {
  return new TwineError({
    code: "FILE_MISSING",
    message: `there is no ${file}`,
    remedy: "run twine-setup, or name a nutcracker.yml with --file",
  });
}
