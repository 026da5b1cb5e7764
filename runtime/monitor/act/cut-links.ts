// cut-links.ts: one raw connection to each master for cuts. All commands of a step leave in one write, and nothing but the
// replies is parsed: with 64 masters links of ioredis take a fifth longer, and all writes wait meanwhile.
//
// They are opened and tried before the pause, and kept for the next cut. They have the alpha's name, so whoever fences a
// node closes this connection too.
import type { Credentials } from "../../core/credentials.ts";
import type { Clock } from "../../ports/clock.ts";
import type { RedisReply } from "../../ports/redis-link.ts";
import { NodeError } from "../../replication/node-error.ts";
import { openNodeSocket } from "../../replication/node-socket.ts";
import { textOf, type RespValue } from "../../resp/value.ts";
import type { BurstLink } from "./take-cut.ts";

export interface CutLinkOptions {
  readonly clock: Clock;
  readonly credentials: Credentials | undefined;
  readonly clientName: string;
  /** A node that sends nothing for that long while it owes a reply is given up. */
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
  return {
    burst: (commands) => socket.calls(commands).map(asOnOtherLinks),
    close: () => {
      socket.destroy();
    },
  };
};

/** An error reply has the name that it has on every other link: it shows that the node executes commands. */
async function asOnOtherLinks(reply: Promise<RespValue>): Promise<RedisReply> {
  try {
    return textOf(await reply) ?? null;
  } catch (error) {
    const isReply =
      error instanceof NodeError && (error.kind === "refused" || error.kind === "denied");
    if (isReply) error.name = "ReplyError";
    throw error;
  }
}

/** The connections of one actor. */
export class CutLinks {
  readonly #open: OpenCutLinks;
  readonly #options: CutLinkOptions;
  readonly #links = new Map<string, OpenCutLink>();
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
    this.#links.get(node)?.close();
    this.#links.delete(node);
  }

  close(): void {
    this.#isClosed = true;
    for (const node of [...this.#links.keys()]) this.drop(node);
  }

  async #ready(target: CutLinkTarget): Promise<OpenCutLink> {
    const known = this.#links.get(target.node);
    if (known !== undefined) {
      try {
        await Promise.all(known.burst([["PING"]]));
        return known;
      } catch {
        this.drop(target.node);
      }
    }
    const opened = await this.#open(target, this.#options);
    this.#links.set(target.node, opened);
    if (this.#isClosed) this.drop(target.node);
    return opened;
  }
}
