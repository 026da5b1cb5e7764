// rdb-stream.ts: a node's whole data as it gives it to a new replica, as a port. Nothing on the node is changed by it.
//
//   connect -> AUTH -> REPLCONF capa eof -> PSYNC ? -1 -> the RDB, chunk by chunk -> close
//
// The node sees a replica that comes, takes the RDB and goes; its own file is not touched, for with `capa eof` it may
// stream straight from memory.
import { connect, type Socket } from "node:net";
import type { Credentials } from "../core/credentials.ts";
import { encodeCommand } from "../resp/encode.ts";
import { RdbTransfer } from "../resp/rdb-transfer.ts";
import type { RedisAddress } from "./redis-link.ts";

export interface RdbStreamOptions {
  readonly credentials: Credentials | undefined;
  /** Aborting it ends the stream with its reason. */
  readonly signal: AbortSignal;
}

export interface RdbStream {
  /** The history that the data lies on, and how many bytes of it; known once the first chunk came. */
  readonly replicationId: string;
  readonly offset: number;
  /** Ends after the RDB's last byte; throws when the node refuses or the connection ends before that. */
  chunks(): AsyncIterable<Buffer>;
}

/** Opens streams. Production: `openRdbStream`. */
export type OpenRdbStream = (address: RedisAddress, options: RdbStreamOptions) => RdbStream;

export const openRdbStream: OpenRdbStream = (address, options) => {
  const transfer = new RdbTransfer();
  return {
    get replicationId() {
      return transfer.replicationId;
    },
    get offset() {
      return transfer.offset;
    },
    chunks: () => chunksOf(address, options, transfer),
  };
};

async function* chunksOf(
  address: RedisAddress,
  options: RdbStreamOptions,
  transfer: RdbTransfer,
): AsyncGenerator<Buffer> {
  const { credentials, signal } = options;
  const socket = connect({ host: address.host, port: address.port, signal });
  try {
    const greetings = [
      ...(credentials === undefined
        ? []
        : [["AUTH", credentials.username, credentials.password] as const]),
      // Redis takes PSYNC only when nothing is left to be sent on the connection, so every answer is awaited.
      ["REPLCONF", "capa", "eof"] as const,
    ];
    const bytes = bytesOf(socket);
    for (const words of greetings) await greet(socket, bytes, words);
    socket.write(encodeCommand(["PSYNC", "?", "-1"]));
    for (;;) {
      const { value, done } = await bytes.next();
      if (done === true)
        throw new Error("the node closed the connection before the end of its RDB");
      yield* transfer.push(value);
      if (transfer.state === "ended") return;
    }
  } finally {
    socket.destroy();
  }
}

/** The bytes as they come. Unlike `for await`, whose return would destroy the socket, this can be taken piece by piece. */
function bytesOf(socket: Socket): AsyncIterator<Buffer, undefined> {
  return socket[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
}

async function greet(
  socket: Socket,
  bytes: AsyncIterator<Buffer, undefined>,
  words: readonly string[],
): Promise<void> {
  socket.write(encodeCommand(words));
  let answer = "";
  while (!answer.endsWith("\r\n")) {
    const { value, done } = await bytes.next();
    if (done === true) throw new Error("the node closed the connection");
    answer += value.toString("latin1");
  }
  if (answer.startsWith("-")) throw new Error(`${words[0] ?? ""}: ${answer.slice(1).trimEnd()}`);
}
