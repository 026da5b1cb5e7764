// nth-fault.ts: what makes the n-th step of a restore fail, over the real files and connections.
import type { OpenNode } from "../../runtime/backup/restore/feed-nodes.ts";
import { privateFiles, type PrivateFiles } from "../../runtime/backup/restore/private-files.ts";
import { openNodeSocket } from "../../runtime/replication/node-socket.ts";

/** Counts steps; the n-th fails. */
export class Nth {
  readonly #n: number;
  #steps = 0;
  /** What failed. */
  what = "";

  constructor(n: number) {
    this.#n = n;
  }

  /** Whether this one is the n-th. */
  isNow(what: string): boolean {
    this.#steps++;
    if (this.#steps === this.#n) this.what = what;
    return this.#steps === this.#n;
  }

  step(what: string, code = "EIO"): void {
    if (this.isNow(what)) throw Object.assign(new Error(`${code}: ${what}`), { code });
  }

  get isReached(): boolean {
    return this.what !== "";
  }
}

export async function* stepwise(chunks: AsyncIterable<Buffer>, nth: Nth): AsyncGenerator<Buffer> {
  nth.step("open");
  for await (const chunk of chunks) {
    nth.step("read");
    yield chunk;
  }
}

/** Every n up to the first that is not reached; how many there were. */
export async function eachNth(task: (nth: Nth, n: number) => Promise<void>): Promise<number> {
  for (let n = 1; ; n++) {
    const nth = new Nth(n);
    await task(nth, n);
    if (!nth.isReached) return n - 1;
  }
}

export function failingFiles(nth: Nth, { reads = false } = {}): PrivateFiles {
  return {
    create: async (path) => {
      if (!reads) nth.step("create", "ENOSPC");
      const file = await privateFiles.create(path);
      return {
        write: async (bytes) => {
          if (!reads) nth.step("write", "ENOSPC");
          await file.write(bytes);
        },
        writeNow: (bytes) => {
          if (!reads) nth.step("write", "ENOSPC");
          file.writeNow(bytes);
        },
        close: async () => {
          await file.close();
          if (!reads) nth.step("close", "ENOSPC");
        },
      };
    },
    read: (path) => (reads ? stepwise(privateFiles.read(path), nth) : privateFiles.read(path)),
  };
}

/** `onCall` is asked before the first of each command on each connection. */
export function watchedSockets(
  nameOf: (port: number) => string,
  onOpen: (node: string) => void,
  onCall: (node: string, command: string, end: () => void) => Promise<void> | void,
): OpenNode {
  return async (address, options) => {
    const node = "port" in address ? nameOf(address.port) : "";
    onOpen(node);
    const socket = await openNodeSocket(address, options);
    const seen = new Set<string>();
    return {
      get failure() {
        return socket.failure;
      },
      localAddress: socket.localAddress,
      remoteAddress: socket.remoteAddress,
      destroy: () => {
        socket.destroy();
      },
      call: async (...words) => {
        const command = words.slice(0, 2).join(" ");
        const isFirst = !seen.has(command);
        seen.add(command);
        if (isFirst) {
          await onCall(node, command, () => {
            socket.destroy();
          });
        }
        return socket.call(...words);
      },
    };
  };
}
