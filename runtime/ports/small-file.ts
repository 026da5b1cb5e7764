// small-file.ts: reads a file named by a user or an environment variable: a secret, a certificate, or twine.conf.
// Such a path may lead anywhere: a FIFO would block for ever, and /dev/zero never ends. So only regular files are read,
// up to a limit.
import { closeSync, fstatSync, openSync, readSync, constants } from "node:fs";

/** For a twine.conf: 4,096 nodes need 160 KB. */
export const CONF_BYTES_MAX = 16 * 1024 ** 2;

export interface SmallFile {
  readonly text: string;
  readonly bytes: Buffer;
  readonly mode: number;
}

/** Throws an Error whose message has the reason and `path`. */
export function readSmallFile(path: string, bytesMax: number): SmallFile {
  // Non-blocking: opening a FIFO would block until it has a writer.
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const found = fstatSync(file);
    if (!found.isFile()) throw new Error(`${path} is not a regular file`);
    // Files in /proc have size 0.
    const size = found.size === 0 ? bytesMax : Math.min(found.size, bytesMax);
    if (found.size > bytesMax) throw new Error(`${path} is longer than ${bytesMax} bytes`);
    const buffer = Buffer.alloc(size + 1);
    let length = 0;
    for (;;) {
      const count = readSync(file, buffer, length, buffer.length - length, null);
      length += count;
      if (length > bytesMax) throw new Error(`${path} is longer than ${bytesMax} bytes`);
      if (count > 0) continue;
      const bytes = buffer.subarray(0, length);
      return { text: bytes.toString("utf8"), bytes, mode: found.mode };
    }
  } finally {
    closeSync(file);
  }
}

/** The forbidden mode bits of a secret: any access for others, and write access for the group. */
const TOO_OPEN = 0o027;

/** Why a file with a secret must not have this mode, or undefined. A symbolic link, as in Kubernetes secret mounts,
    counts as its target. */
export function opennessOf(path: string, mode: number): string | undefined {
  if ((mode & TOO_OPEN) === 0) return undefined;
  return `${path} has the mode ${(mode & 0o777).toString(8)}: others may read or change it`;
}
