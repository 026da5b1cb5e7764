// cut-links.ts: one raw connection to each master for cuts. All commands of a step leave in one write of bytes that were
// made before, replies are read as they arrive, and nothing but the replies is parsed: all writes wait meanwhile.
//
// They are opened and tried before the pause, and kept for the next cut. They have the alpha's name, so whoever fences a
// node closes this connection too.
import type { Credentials } from "../../core/credentials.ts";
import type { Clock } from "../../ports/clock.ts";
import type { RedisReply } from "../../ports/redis-link.ts";
import { kindOfReply, NodeError } from "../../replication/node-error.ts";
import { openNodeSocket, type NodeSocket } from "../../replication/node-socket.ts";
import { decodeReply } from "../../resp/decode.ts";
import { encodeCommand } from "../../resp/encode.ts";
import { RespError } from "../../resp/limits.ts";
import { ReplyScanner } from "../../resp/reply-scanner.ts";
import { textOf } from "../../resp/value.ts";
import type { BurstLink, CutCommand } from "./take-cut.ts";

export interface CutLinkOptions {
  readonly clock: Clock;
  readonly credentials: Credentials | undefined;
  readonly clientName: string;
  /** A node that owes a reply for that long is given up. */
  readonly silenceMsMax: number;
}

interface CutLinkTarget {
  readonly node: string;
  readonly host: string;
  readonly port: number;
}

export interface OpenCutLink extends BurstLink {
  close(): void;
}

/** Opens a connection for cuts. Production: `openRawCutLink`. */
export type OpenCutLinks = (target: CutLinkTarget, options: CutLinkOptions) => Promise<OpenCutLink>;

export const openRawCutLink: OpenCutLinks = async ({ host, port }, options) => {
  const { clientName, ...access } = options;
  const socket = await openNodeSocket({ host, port }, access);
  try {
    await socket.call("CLIENT", "SETNAME", clientName);
  } catch (error) {
    socket.destroy();
    throw error;
  }
  return new RawCutLink(socket, `${host}:${port}`, options);
};

/** An INFO of one section; a node that sends more is taken for hostile. */
const OWED_BYTES_MAX = 16 * 1024 * 1024;

interface Owed {
  readonly sentAtMs: number;
  readonly resolve: (reply: RedisReply) => void;
  readonly reject: (error: Error) => void;
}

class RawCutLink implements OpenCutLink {
  readonly #socket: NodeSocket;
  readonly #place: string;
  readonly #options: CutLinkOptions;
  readonly #scanner = new ReplyScanner();
  readonly #owed: Owed[] = [];
  #owedBytes = 0;
  #cancelWatch: (() => void) | undefined;

  constructor(socket: NodeSocket, place: string, options: CutLinkOptions) {
    this.#socket = socket;
    this.#place = place;
    this.#options = options;
    socket.flow(
      (chunk) => {
        this.#read(chunk);
      },
      (error) => {
        this.#cancelWatch?.();
        for (const { reject } of this.#owed.splice(0)) reject(error);
      },
    );
  }

  burst(commands: readonly CutCommand[]): readonly Promise<RedisReply>[] {
    const { failure } = this.#socket;
    if (failure !== undefined) return commands.map(() => Promise.reject(failure));
    const sentAtMs = this.#options.clock.nowMs();
    this.#socket.write(bytesOf(commands)).catch(() => undefined);
    this.#cancelWatch ??= this.#watch(this.#options.silenceMsMax);
    return commands.map(
      () =>
        new Promise<RedisReply>((resolve, reject) => {
          this.#owed.push({ sentAtMs, resolve, reject });
        }),
    );
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    try {
      this.#scanner.push(chunk);
      this.#owedBytes += chunk.length;
      while (this.#scanner.advance()) {
        const { source, start, end } = this.#scanner;
        this.#owedBytes = 0;
        this.#settle(source.subarray(start, end));
      }
      if (this.#owedBytes > OWED_BYTES_MAX) throw new RespError("the reply is too long");
    } catch (error) {
      if (!(error instanceof RespError)) throw error;
      this.#socket.end(new NodeError("protocol", `${this.#place}: ${error.message}`, error));
    }
  }

  #settle(raw: Buffer): void {
    const value = decodeReply(raw);
    const owed = this.#owed.shift();
    if (owed === undefined) throw new RespError("it sent a reply to no command");
    if (value.type !== "error") owed.resolve(textOf(value) ?? null);
    else owed.reject(errorOf(value.text, this.#place));
  }

  /** One timer for many commands: a cut begins with a question before the pause, so none is set in the pause. */
  #watch(delayMs: number): () => void {
    const { clock, silenceMsMax } = this.#options;
    return clock.after(delayMs, () => {
      this.#cancelWatch = undefined;
      const [oldest] = this.#owed;
      if (oldest === undefined) return;
      const leftMs = oldest.sentAtMs + silenceMsMax - clock.nowMs();
      if (leftMs > 0) this.#cancelWatch = this.#watch(leftMs);
      else {
        const why = `${this.#place} sent nothing for ${silenceMsMax} ms`;
        this.#socket.end(new NodeError("silent", why));
      }
    });
  }
}

const ENCODED = new WeakMap<readonly CutCommand[], Buffer>();

/** The commands of a step are one constant, which is encoded once. */
function bytesOf(commands: readonly CutCommand[]): Buffer {
  const known = ENCODED.get(commands);
  if (known !== undefined) return known;
  const bytes = Buffer.concat(commands.map(encodeCommand));
  ENCODED.set(commands, bytes);
  return bytes;
}

/** An error reply has the name that it has on every other link: it shows that the node executes commands. */
function errorOf(text: string, place: string): NodeError {
  const kind = kindOfReply(text);
  const error = new NodeError(kind, `${place}: ${text}`);
  if (kind === "refused" || kind === "denied") error.name = "ReplyError";
  return error;
}

const PING = [["PING"]] as const;

/** The connections of one actor. */
export class CutLinks {
  readonly #open: OpenCutLinks;
  readonly #options: CutLinkOptions;
  readonly #links = new Map<string, { readonly place: string; readonly link: OpenCutLink }>();
  #isClosed = false;

  constructor(open: OpenCutLinks, options: CutLinkOptions) {
    this.#open = open;
    this.#options = options;
  }

  /** One that answers, to each target in its order. Rejects when there is none to some target. */
  of(targets: readonly CutLinkTarget[]): Promise<{ node: string; link: BurstLink }[]> {
    return Promise.all(
      targets.map(async (target) => ({ node: target.node, link: await this.#ready(target) })),
    );
  }

  drop(node: string): void {
    this.#links.get(node)?.link.close();
    this.#links.delete(node);
  }

  close(): void {
    this.#isClosed = true;
    for (const node of [...this.#links.keys()]) this.drop(node);
  }

  async #ready(target: CutLinkTarget): Promise<OpenCutLink> {
    const place = `${target.host}:${target.port}`;
    const known = this.#links.get(target.node);
    // A node may have moved, and its process at the old place may answer still.
    if (known?.place === place) {
      try {
        await Promise.all(known.link.burst(PING));
        return known.link;
      } catch {
        // Another one takes its place.
      }
    }
    this.drop(target.node);
    const link = await this.#open(target, this.#options);
    this.#links.set(target.node, { place, link });
    if (this.#isClosed) this.drop(target.node);
    return link;
  }
}
