// local-listener.ts: the engine behind a Unix socket, for programs of the same user on this machine.
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listen } from "../ports/listen.ts";
import { withSharedReads } from "./sessions/shared-reads.ts";

export interface LocalListener {
  readonly path: string;
  /** Accepts no more clients; connected ones stay. Removes the socket. */
  close(): Promise<void>;
}

/** Longer paths don't fit into the address of a Unix socket. */
const PATH_BYTES_MAX = 100;

/** Without a path it creates a folder that only this user may enter. Throws TwineError PORT_TAKEN or PORT_REFUSED. */
export async function listenLocally(
  path: string | undefined,
  accept: (socket: Socket) => void,
): Promise<LocalListener> {
  const folder = path === undefined ? await privateFolder() : undefined;
  const socketPath = path ?? join(folder ?? "", "twine.sock");
  const remove = async (): Promise<void> => {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  };
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    accept(withSharedReads(socket));
  });
  try {
    await listen(server, { path: socketPath }, "the engine");
  } catch (error) {
    await remove();
    throw error;
  }
  let closing: Promise<void> | undefined;
  return {
    path: socketPath,
    close: () => {
      // The server does not know the clients' replaced sockets, so its close does not wait for them.
      closing ??= new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
      }).then(remove);
      return closing;
    },
  };
}

/** mkdtemp creates it with mode 0700. */
function privateFolder(): Promise<string> {
  const isShort = Buffer.byteLength(tmpdir()) + "/twine-123456/twine.sock".length <= PATH_BYTES_MAX;
  return mkdtemp(join(isShort ? tmpdir() : "/tmp", "twine-"));
}
