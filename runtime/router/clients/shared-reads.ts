// shared-reads.ts: a client's socket that reads into memory which all such sockets share, one after the other.
//
//   accepted socket --its handle--> SharedReadSocket --> receive(chunk), true only during the call
//
// node:net gives every chunk memory of its own: 64 KB are asked for, cut to what came, and collected later. For requests of
// a few dozen bytes that is a tenth of the router's work. A socket that was made with `onread` reads into given memory,
// but only connect() and new Socket() take that option, and a server makes its sockets itself. So the connection is
// given to a socket of our own by `_handle`, which node:net has had since its beginning and calls private; where there
// is none, the accepted socket is used as it is.
import { Socket } from "node:net";

/** As much as the system gives at once. */
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
    // The types know of a bound socket as a handle, not of a connected one.
    super(options as object);
  }
}

/** The connection of `accepted`, which has read nothing yet, as a socket whose reads are shared. */
export function withSharedReads(accepted: Socket): Socket {
  const holder = accepted as Socket & HandleHolder;
  const handle = holder._handle;
  if (handle === undefined || handle === null) return accepted;
  holder._handle = null;
  // It costs two kilobytes and is of no more use; so the server knows nothing of those who stay.
  accepted.destroy();
  return new SharedReadSocket(handle);
}

/** Gives `receive` what comes from `socket`; of the chunk nothing may be kept. */
export function onChunk(socket: Socket, receive: Receive): void {
  if (socket instanceof SharedReadSocket) socket.receive = receive;
  else socket.on("data", receive);
}
