// client-stream.ts: the stream of a client: a socket, or any duplex stream of this process.
//
//   socket            may still read the bytes after write() has returned
//   any other stream  may pass the bytes to a reader that keeps them: it gets a copy, because the engine reuses the memory
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock } from "../../ports/clock.ts";
import { LINGER_MS } from "../limits.ts";

/** Sockets have addresses and a timeout; other streams have neither. */
export type ClientStream = Duplex & Partial<Omit<Socket, keyof Duplex>>;

/** Writes `bytes`. Returns true if their memory may be reused at once. */
export function writeTo(stream: ClientStream, bytes: Buffer): boolean {
  if (!stream.writable) return true;
  if (!(stream instanceof Socket)) {
    // Not from a pool: a reply that is kept would keep the rest of the pool's memory.
    const copy = Buffer.allocUnsafeSlow(bytes.length);
    bytes.copy(copy);
    stream.write(copy);
    return true;
  }
  stream.write(bytes);
  // When the system has taken all bytes, their memory is free.
  return stream.writableLength === 0;
}

/** Closes our side and keeps reading: closing with unread bytes resets the connection, and the reset can discard replies
    that the client has not read. A client that doesn't close its side is disconnected after LINGER_MS. */
export function endGently(stream: ClientStream, clock: Clock): void {
  stream.end(() => {
    const endTimer = clock.after(LINGER_MS, () => stream.destroy());
    stream.on("close", endTimer);
  });
  stream.resume();
}
