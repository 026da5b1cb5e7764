// shared-reads.ts: client sockets that read into one shared memory.
//
//   accepted socket --its handle--> SharedReadSocket --> receive(chunk), valid only during the call
//
// node:net allocates memory for every chunk: 64 KB, cut to the received length and garbage collected later. For requests
// of a few dozen bytes this is a tenth of the router's work. A socket with the option `onread` reads into given memory,
// but only connect() and new Socket() accept that option, and a server makes its sockets itself. So the connection is
// moved to another socket with `_handle`, which node:net has always had and calls private. If it is missing, the accepted
// socket is used unchanged.
import { Socket } from "node:net";
import type { ClientStream } from "./client-stream.ts";

/** The most bytes that one read returns. */
const RECEIVED = Buffer.allocUnsafeSlow(64 * 1024);

type Receive = (chunk: Buffer) => void;

interface HandleHolder {
  _handle?: object | null;
}

class SharedReadSocket extends Socket {
  receive: Receive | undefined;

  constructor(handle: object) {
    const options = {
      handle,
      allowHalfOpen: true,
      onread: {
        buffer: RECEIVED,
        callback: (count: number) => {
          this.receive?.(RECEIVED.subarray(0, count));
          return true;
        },
      },
    };
    // The types allow a handle only for a bound socket, not for a connected one.
    super(options as object);
  }
}

/** Moves the connection of `accepted`, which has read nothing yet, to a socket with shared reads. */
export function withSharedReads(accepted: Socket): Socket {
  const holder = accepted as Socket & HandleHolder;
  const handle = holder._handle;
  if (handle === undefined || handle === null) return accepted;
  holder._handle = null;
  // It uses two kilobytes and is not needed any more. So the server does not know the remaining connections.
  accepted.destroy();
  return new SharedReadSocket(handle);
}

/** Calls `receive` with each chunk of `socket`, which must not be kept after the call. */
export function onChunk(socket: ClientStream, receive: Receive): void {
  if (socket instanceof SharedReadSocket) socket.receive = receive;
  else socket.on("data", receive);
}
