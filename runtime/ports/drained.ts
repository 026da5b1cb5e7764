// drained.ts: waits until a socket takes more.
import type { Socket } from "node:net";

/** Resolves when the socket is drained or closed. No listener stays behind: a large transfer waits thousands of times. */
export function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off("drain", done);
      socket.off("close", done);
      resolve();
    };
    if (socket.destroyed) {
      resolve();
      return;
    }
    socket.on("drain", done);
    socket.on("close", done);
  });
}
