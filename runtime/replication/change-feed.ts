// change-feed.ts: every write of a node from an exact offset on, as the node tells its replicas, without an RDB.
//
//   connect -> AUTH -> REPLCONF capa eof capa psync2 -> PSYNC id offset+1
//     +CONTINUE [new id]   the feed follows in the same packet            -> "continues"
//     +FULLRESYNC ...      the offset is not in the node's backlog        -> "gone": nothing is read, the connection ends
//
// ACK 0 each second keeps the link alive and never satisfies anybody's WAIT. It still counts for min-replicas-to-write, so a
// feed is taken from a replica, never from a master. Silence proves nothing about the lag: compare offsets.
// https://redis.io/docs/latest/commands/psync/
import type { Login } from "../core/credentials.ts";
import type { Clock } from "../ports/clock.ts";
import type { LinkTls } from "../ports/link-tls.ts";
import { encodeCommand } from "../resp/encode.ts";
import { NodeError, kindOfReply } from "./node-error.ts";
import { openNodeSocket, type NodeAddress, type NodeSocket } from "./node-socket.ts";

export interface FeedStart {
  /** Of the history that the consumer has. */
  readonly replicationId: string;
  /** Bytes of it that the consumer has already. */
  readonly offset: number;
}

export interface ChangeFeedOptions {
  readonly credentials: Login | undefined;
  readonly tls?: LinkTls | undefined;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** The node is given up after so long without a byte; a master pings each ten seconds. */
  readonly silenceMsMax?: number;
}

export interface ChangeFeed {
  /** The id under which the history goes on; another one than asked for after a failover. */
  readonly replicationId: string;
  /** The next bytes, at least one. Throws NodeError. */
  chunk(): Promise<Buffer>;
  close(): void;
}

const ACK_EVERY_MS = 1000;
const ACK = encodeCommand(["REPLCONF", "ACK", "0"]);
const SILENCE_MS_MAX = 60_000;

/** undefined: the node does not have what comes behind that offset any more. Throws NodeError. */
export async function openChangeFeed(
  address: NodeAddress,
  { replicationId, offset }: FeedStart,
  options: ChangeFeedOptions,
): Promise<ChangeFeed | undefined> {
  const { clock, silenceMsMax = SILENCE_MS_MAX, ...rest } = options;
  const socket = await openNodeSocket(address, { ...rest, clock, silenceMsMax });
  try {
    // Without psync2 a node that was promoted would hide its new id.
    await socket.call("REPLCONF", "capa", "eof", "capa", "psync2");
    await socket.write(encodeCommand(["PSYNC", replicationId, String(offset + 1)]));
    const continued = await answerOf(socket);
    if (continued !== undefined) return feeding(socket, continued || replicationId, clock);
    socket.destroy();
    return undefined;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** The new id, empty when it did not change; undefined for a full resync. */
async function answerOf(socket: NodeSocket): Promise<string | undefined> {
  let line = "";
  // A node that still thinks sends empty lines.
  while (line === "") line = await socket.line();
  if (line.startsWith("+FULLRESYNC ")) return undefined;
  const [, id] = /^\+CONTINUE(?: ([0-9a-f]{40}))?$/.exec(line) ?? [];
  if (id !== undefined || line === "+CONTINUE") return id ?? "";
  const kind = line.startsWith("-") ? kindOfReply(line.slice(1)) : "protocol";
  throw new NodeError(kind, `the node answers PSYNC with ${line}`);
}

function feeding(socket: NodeSocket, replicationId: string, clock: Clock): ChangeFeed {
  let cancel: () => void = () => undefined;
  let isOver = false;
  const acknowledge = (): void => {
    if (isOver) return;
    // A broken connection is seen by whoever reads.
    socket.write(ACK).catch(() => undefined);
    cancel = clock.after(ACK_EVERY_MS, acknowledge);
  };
  const close = (): void => {
    isOver = true;
    cancel();
    socket.destroy();
  };
  acknowledge();
  return {
    replicationId,
    close,
    chunk: async () => {
      try {
        return await socket.chunk();
      } catch (error) {
        close();
        throw error;
      }
    },
  };
}
