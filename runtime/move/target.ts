// target.ts: where keys are moved to, as a port: commands in, executed in the order of the calls.
// Commands go in batches, because a promise and a packet for each would take longer than Redis needs to execute it.
import {
  openNodeSocket,
  type NodeAddress,
  type NodeSocket,
  type NodeSocketOptions,
} from "../replication/node-socket.ts";
import { kindOfReply, NodeError } from "../replication/node-error.ts";
import { ReplyScanner } from "../resp/reply-scanner.ts";

/** A command and its arguments. */
export type Words = readonly (Buffer | string)[];

export interface MoveTarget {
  /**
   * Sends commands at once, in their order; resolves with the target's error replies by their index, when every command has
   * a reply. Rejects when nobody knows whether all were executed.
   */
  send(commands: readonly Words[]): Promise<ReadonlyMap<number, NodeError>>;
  close(): void;
}

/** One redis-server. Throws NodeError. */
export async function openNodeTarget(
  address: NodeAddress,
  options: NodeSocketOptions & { readonly db?: number },
): Promise<MoveTarget> {
  const socket = await openNodeSocket(address, options);
  try {
    if ((options.db ?? 0) !== 0) await socket.call("SELECT", String(options.db));
    return new NodeTarget(socket);
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

class NodeTarget implements MoveTarget {
  readonly #socket: NodeSocket;
  readonly #scanner = new ReplyScanner();
  /** Replies are read batch after batch. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(socket: NodeSocket) {
    this.#socket = socket;
  }

  send(commands: readonly Words[]): Promise<ReadonlyMap<number, NodeError>> {
    const written = this.#socket.write(encodeAll(commands));
    const replies = this.#turn.then(() => this.#refusals(commands.length));
    this.#turn = replies.catch(() => undefined);
    return Promise.all([replies, written]).then(([refusals]) => refusals);
  }

  close(): void {
    this.#socket.destroy();
  }

  async #refusals(count: number): Promise<ReadonlyMap<number, NodeError>> {
    const refusals = new Map<number, NodeError>();
    const scanner = this.#scanner;
    for (let index = 0; index < count; index++) {
      while (!scanner.advance()) scanner.push(await this.#socket.chunk());
      if (scanner.source[scanner.start] !== MINUS) continue;
      const text = scanner.source.toString("latin1", scanner.start + 1, scanner.end - 2);
      refusals.set(index, new NodeError(kindOfReply(text), text));
    }
    return refusals;
  }
}

const MINUS = 45;
/** `$`, a length and two line ends. */
const ARG_OVERHEAD_BYTES = 18;

function encodeAll(commands: readonly Words[]): Buffer {
  let bytesMax = 0;
  for (const words of commands) {
    bytesMax += ARG_OVERHEAD_BYTES;
    for (const word of words) {
      bytesMax += ARG_OVERHEAD_BYTES;
      bytesMax += typeof word === "string" ? Buffer.byteLength(word) : word.length;
    }
  }
  const bytes = Buffer.allocUnsafe(bytesMax);
  let at = 0;
  for (const words of commands) {
    at = writeLength(bytes, STAR, words.length, at);
    for (const word of words) {
      const length = typeof word === "string" ? Buffer.byteLength(word) : word.length;
      at = writeLength(bytes, DOLLAR, length, at);
      at += typeof word === "string" ? bytes.write(word, at) : word.copy(bytes, at);
      bytes[at++] = CR;
      bytes[at++] = LF;
    }
  }
  return bytes.subarray(0, at);
}

const [STAR, DOLLAR, CR, LF, ZERO] = [42, 36, 13, 10, 48];

/** Most lengths have one or two digits: a string for each would take longer. */
function writeLength(bytes: Buffer, mark: number, length: number, start: number): number {
  let at = start;
  bytes[at++] = mark;
  if (length < 10) bytes[at++] = ZERO + length;
  else if (length < 100) {
    bytes[at++] = ZERO + Math.floor(length / 10);
    bytes[at++] = ZERO + (length % 10);
  } else at += bytes.write(String(length), at, "latin1");
  bytes[at++] = CR;
  bytes[at++] = LF;
  return at;
}
