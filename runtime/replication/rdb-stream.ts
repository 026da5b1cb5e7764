// rdb-stream.ts: a node's whole data as it gives it to a new replica, as a port. Nothing on the node is changed by it.
//
//   connect -> AUTH -> REPLCONF capa, version, rdb-only -> PSYNC ? -1 -> the RDB, chunk by chunk -> close
//
// With rdb-only (Redis 6.2) the node keeps no stream for us, lists us as no replica, and closes after the RDB. Its own
// file is not touched, for with `capa eof` it may stream straight from memory. A replica gives its RDB as well as a master.
import type { HistoryMark } from "../core/view.ts";
import type { Login } from "../core/credentials.ts";
import type { Clock } from "../ports/clock.ts";
import { systemClock } from "../ports/clock.ts";
import type { LinkTls } from "../ports/link-tls.ts";
import { encodeCommand } from "../resp/encode.ts";
import { NodeError } from "./node-error.ts";
import { openNodeSocket, type NodeAddress, type NodeSocket } from "./node-socket.ts";
import { RdbTransfer } from "./rdb-transfer.ts";

export interface RdbStreamOptions {
  readonly credentials: Login | undefined;
  readonly tls?: LinkTls | undefined;
  /** Aborting it ends the stream with its reason. */
  readonly signal: AbortSignal;
  /** Absent: the machine's. */
  readonly clock?: Clock;
  /** The node is given up after so long without a byte; while it prepares it sends one each second. Absent: 60 s. */
  readonly silenceMsMax?: number;
  /** Called once, before the first chunk: where the RDB lies in the node's history. */
  readonly onStart?: ((start: HistoryMark) => void) | undefined;
}

export interface RdbStream {
  /** The history that the data lies on, and how many bytes of it; known once the first chunk came. */
  readonly replicationId: string;
  readonly offset: number;
  /** The RDB's length where the node announced it; undefined while unknown, and for good when it streams from memory. */
  readonly lengthBytes: number | undefined;
  /** Ends after the RDB's last byte; throws NodeError when the node refuses or the connection ends before that. */
  chunks(): AsyncIterable<Buffer>;
}

/** Opens streams. Production: `openRdbStream`. */
export type OpenRdbStream = (address: NodeAddress, options: RdbStreamOptions) => RdbStream;

const SILENCE_MS_MAX = 60_000;

export const openRdbStream: OpenRdbStream = (address, options) => {
  const transfer = new RdbTransfer();
  return {
    get replicationId() {
      return transfer.replicationId;
    },
    get offset() {
      return transfer.offset;
    },
    get lengthBytes() {
      return transfer.lengthBytes;
    },
    chunks: () => chunksOf(address, options, transfer),
  };
};

async function* chunksOf(
  address: NodeAddress,
  { credentials, tls, signal, ...options }: RdbStreamOptions,
  transfer: RdbTransfer,
): AsyncGenerator<Buffer> {
  const { clock = systemClock, silenceMsMax = SILENCE_MS_MAX } = options;
  const socket = await openNodeSocket(address, { credentials, tls, signal, clock, silenceMsMax });
  try {
    await greet(socket);
    await socket.write(encodeCommand(["PSYNC", "?", "-1"]));
    let isTold = false;
    while (transfer.state !== "ended") {
      const chunks = transfer.push(await socket.chunk());
      const { replicationId, offset } = transfer;
      if (!isTold && replicationId !== "") {
        isTold = true;
        options.onStart?.({ replicationId, offset });
      }
      yield* chunks;
    }
  } catch (error) {
    if (error instanceof NodeError && error.kind === "closed") {
      throw new NodeError("closed", `${error.message} before the end of its RDB`, error);
    }
    throw error;
  } finally {
    socket.destroy();
  }
}

/** Valkey 9 gives hash fields with an expiry only to who names a version that knows them; else it closes (seen). */
const VALKEY_VERSION = "9.0.0";

/** Redis takes PSYNC only when nothing is left to be sent on the connection, so every answer is awaited. */
async function greet(socket: NodeSocket): Promise<void> {
  await socket.call("REPLCONF", "capa", "eof", "capa", "psync2");
  await socket.call("REPLCONF", "version", VALKEY_VERSION).catch((error: unknown) => {
    // Redis does not know the option.
    if (!(error instanceof NodeError && error.kind === "refused")) throw error;
  });
  await socket.call("REPLCONF", "rdb-only", "1");
}
