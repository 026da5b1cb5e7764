// feed-nodes.ts: the prepared RDBs into the nodes, in two phases.
//
//   each node: REPLICAOF our fake master --> it has all but the last bytes --> (all of them) release --> loaded
//           --> AOF rewritten --> number of keys compared
//
// Before the release a node's data is what it was; close() and a REPLICAOF by the monitors undo all of it.
import { TwineError } from "../../core/errors.ts";
import type { Credentials } from "../../core/credentials.ts";
import type { Clock } from "../../ports/clock.ts";
import type { LinkTls } from "../../ports/link-tls.ts";
import { FakeMaster } from "../../replication/fake-master.ts";
import type { NodeSocket, openNodeSocket } from "../../replication/node-socket.ts";
import type { RdbFormat } from "../../replication/rdb/rdb-writer.ts";
import { itemsOf, textOf } from "../../resp/value.ts";
import { untilAofRewritten } from "./aof-rewritten.ts";
import { nodeWrites, type NodeWrites } from "./newest-writes.ts";
import type { PreparedPartition } from "./prepare.ts";
import { explained, type PrivateFiles } from "./private-files.ts";
import { mark } from "../../ports/timeline.ts";
import { whyNotLoadable } from "./server-versions.ts";

export interface FedNode {
  readonly node: string;
  readonly partition: number;
  readonly host: string;
  readonly port: number;
  readonly db: number;
}

export interface FeedOptions {
  readonly clock: Clock;
  /** Whose rights suffice for REPLICAOF, CONFIG and INFO; and what nodes show their masters. */
  readonly credentials: Credentials | undefined;
  readonly replicaCredentials: Credentials | undefined;
  readonly tls?: LinkTls | undefined;
  readonly signal: AbortSignal;
  /** A node that takes nothing for that long has failed. */
  readonly stalledMsMax: number;
  readonly openSocket: OpenNode;
  /** Of the private folder. */
  readonly files: PrivateFiles;
}

/** What is needed of a connection to a node. */
export type NodeCalls = Pick<
  NodeSocket,
  "call" | "destroy" | "failure" | "localAddress" | "remoteAddress"
>;

export type OpenNode = (...args: Parameters<typeof openNodeSocket>) => Promise<NodeCalls>;

const SILENCE_MS_MAX = 30_000;
const POLL_MS = 50;
const OFFSET = 1;
/** A node that breaks off that often, as one with a full disk does, would do so for ever. */
const BROKEN_OFF_MAX = 5;

/** A node that was reached and can take the new data. */
export interface ReadyNode extends FedNode {
  readonly socket: NodeCalls;
  /** Keys that it holds now. */
  readonly keysBefore: number;
  readonly writes: NodeWrites;
}

/** Connects to every node and sees whether it can take the RDBs. Unreachable nodes are answered apart; they are synced later. */
export async function reachNodes(
  nodes: readonly FedNode[],
  format: RdbFormat,
  options: FeedOptions,
): Promise<{ readonly ready: readonly ReadyNode[]; readonly away: readonly FedNode[] }> {
  const { clock, credentials, tls, signal, openSocket } = options;
  const away: FedNode[] = [];
  const ready: ReadyNode[] = [];
  const problems: { node: string; why: string; remedy: string }[] = [];
  await Promise.all(
    nodes.map(async (node) => {
      const { host, port } = node;
      const socket = await openSocket(
        { host, port },
        { clock, credentials, tls, signal, silenceMsMax: SILENCE_MS_MAX },
      ).catch(() => undefined);
      const asked = await asking(socket);
      if (socket === undefined || asked === undefined) {
        away.push(node);
        return;
      }
      const { info, diskless } = asked;
      const whyNot = whyNotLoadable(info, format);
      if (whyNot !== undefined) {
        const remedy = "install a redis-server there that is as new as the one that wrote the data";
        problems.push({ node: node.node, why: whyNot, remedy });
      }
      if (diskless !== "disabled") {
        const why = "its repl-diskless-load is not 'disabled', so it would drop its data too early";
        const remedy =
          "set it to disabled on the node (CONFIG SET), and leave it out of twine.conf";
        problems.push({ node: node.node, why, remedy });
      }
      const keysBefore = [...info.matchAll(/^db\d+:keys=(\d+)/gm)].reduce(
        (sum, [, keys]) => sum + Number(keys),
        0,
      );
      ready.push({ ...node, socket, keysBefore, writes: nodeWrites(info) });
    }),
  );
  if (problems.length === 0) return { ready, away };
  for (const { socket } of ready) socket.destroy();
  throw new TwineError(
    problems.map(({ node, why, remedy }) => ({
      code: "NODE_CANT_LOAD",
      message: `${node}: ${why}`,
      remedy: `nothing was changed; ${remedy}, and restore again`,
    })),
  );
}

/** What it says of itself; undefined when it went away. */
async function asking(
  socket: NodeCalls | undefined,
): Promise<{ readonly info: string; readonly diskless: string | undefined } | undefined> {
  if (socket === undefined) return undefined;
  try {
    const info = textOf(await socket.call("INFO")) ?? "";
    const [, diskless] = itemsOf(await socket.call("CONFIG", "GET", "repl-diskless-load"));
    return { info, diskless: textOf(diskless) };
  } catch (error) {
    if (socket.failure === undefined) throw error;
    return undefined;
  }
}

interface Feed {
  readonly node: ReadyNode;
  readonly master: FakeMaster;
  readonly prepared: PreparedPartition;
}

export class NodeFeeds {
  readonly #feeds: readonly Feed[];
  readonly #options: FeedOptions;

  private constructor(feeds: readonly Feed[], options: FeedOptions) {
    this.#feeds = feeds;
    this.#options = options;
  }

  /** A fake master for each node, listening; no node follows them yet. */
  static async listen(
    nodes: readonly ReadyNode[],
    prepared: readonly PreparedPartition[],
    replicationIds: readonly string[],
    options: FeedOptions,
  ): Promise<NodeFeeds> {
    const { clock } = options;
    const files = explained(options.files);
    const listening = await Promise.allSettled(
      nodes.map(async (node): Promise<Feed> => {
        const own = prepared.find(({ partition }) => partition === node.partition);
        const replicationId = replicationIds[node.partition];
        if (own === undefined || replicationId === undefined) throw new Error("no such partition");
        const master = await FakeMaster.listen({
          clock,
          replicationId,
          offset: OFFSET,
          rdbBytes: own.bytes,
          open: () => files.read(own.path),
          host: node.socket.localAddress,
          nodeAddress: node.socket.remoteAddress,
          credentials: options.replicaCredentials,
        });
        return { node, master, prepared: own };
      }),
    );
    const feeds = listening.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    const failed = listening.find((one) => one.status === "rejected");
    if (failed === undefined) return new NodeFeeds(feeds, options);
    for (const { master } of feeds) master.close();
    throw failed.reason;
  }

  get sentBytes(): number {
    return this.#feeds.reduce((sum, { master }) => sum + master.sentBytes, 0);
  }

  get totalBytes(): number {
    return this.#feeds.reduce((sum, { prepared }) => sum + prepared.bytes, 0);
  }

  /** Phase 1: resolves when every node has all but the last bytes. Throws NODE_STALLED, NODE_LOST, NODE_BREAKS_OFF, PRIVATE_FOLDER_FAILED. */
  async fill(): Promise<void> {
    for (const { node, master } of this.#feeds) {
      try {
        await node.socket.call("REPLICAOF", node.socket.localAddress, String(master.port));
      } catch (error) {
        this.#requireAll();
        throw error;
      }
    }
    await this.#until(
      () => {
        this.#requireAll();
        return this.#feeds.every(({ master }) => master.state === "ready");
      },
      () => this.sentBytes + this.#feeds.filter(({ master }) => master.state === "ready").length,
      ({ master }) => master.state === "ready",
    );
  }

  /** Nobody waits for a node that has died. */
  #requireAll(): void {
    this.#options.signal.throwIfAborted();
    for (const { master, prepared } of this.#feeds) {
      if (master.unreadable !== undefined) throw unreadable(prepared.path, master.unreadable);
    }
    this.#requireNoneBreaksOff();
    const lost = this.#feeds.filter(({ node }) => node.socket.failure !== undefined);
    if (lost.length === 0) return;
    throw new TwineError(
      lost.map(({ node }) => ({
        code: "NODE_LOST",
        message: `${node.node} went away before any node took the new data: ${node.socket.failure?.message ?? ""}`,
        remedy:
          "nothing was changed; start it (twine-start) or leave it stopped, and restore again",
      })),
    );
  }

  #requireNoneBreaksOff(): void {
    const broken = this.#feeds.filter(({ master }) => master.brokenOff >= BROKEN_OFF_MAX);
    if (broken.length === 0) return;
    throw new TwineError(
      broken.map(({ node, master }) => ({
        code: "NODE_BREAKS_OFF",
        message: `${node.node} broke off ${master.brokenOff} times while it took the new data: ${master.failure ?? ""}`,
        remedy:
          "nothing was changed; see the end of its log (often a full disk), mend that, or stop the node, and restore again",
      })),
    );
  }

  /** Nodes that have not all but the last bytes. */
  get unready(): readonly string[] {
    return this.#feeds.flatMap(({ master, node }) => (master.state === "ready" ? [] : [node.node]));
  }

  /** Phase 2: the last bytes to all of them. False when some node was not ready any more: then none was released. */
  release(): boolean {
    if (this.unready.length > 0) return false;
    for (const { master } of this.#feeds) master.release();
    return true;
  }

  /**
   * The nodes that hold the new data, on disk too. One that has died since is none of them: it gets all of it from the others
   * of its partition when it comes back. Throws NODE_STALLED, AOF_REWRITE_FAILED. */
  async loaded(): Promise<readonly ReadyNode[]> {
    const isOver = ({ master, node }: Feed): boolean =>
      master.state === "loaded" ||
      (master.state === "released" && (!master.isConnected || node.socket.failure !== undefined));
    let bytes = 0;
    await this.#until(
      () => this.#feeds.every(isOver),
      async () => {
        // A node that loads says how far it is.
        const infos = await Promise.all(
          this.#feeds.map(({ node }) =>
            node.socket.call("INFO", "persistence").catch(() => undefined),
          ),
        );
        bytes = infos.reduce(
          (sum, info) =>
            sum + Number(/loading_loaded_bytes:(\d+)/.exec(textOf(info) ?? "")?.[1] ?? 0),
          0,
        );
        return bytes + this.#feeds.filter(isOver).length;
      },
      isOver,
    );
    mark("rewrite");
    const loaded = this.#feeds.filter(({ master }) => master.state === "loaded");
    await Promise.all(
      loaded.map(({ node }) =>
        this.#unlessLost(node, () =>
          untilAofRewritten(node.node, (...words) => node.socket.call(...words), this.#options),
        ),
      ),
    );
    return this.#present().map(({ node }) => node);
  }

  /** Those that have loaded and live. */
  #present(): readonly Feed[] {
    return this.#feeds.filter(
      ({ master, node }) => master.state === "loaded" && node.socket.failure === undefined,
    );
  }

  async #unlessLost(node: ReadyNode, task: () => Promise<void>): Promise<void> {
    try {
      await task();
    } catch (error) {
      this.#options.signal.throwIfAborted();
      if (node.socket.failure === undefined) throw error;
    }
  }

  /** Nodes whose number of keys is not the one of their RDB, in words. */
  async differences(): Promise<string[]> {
    const wrong: string[] = [];
    for (const { node, prepared } of this.#present()) {
      let info = "";
      await this.#unlessLost(node, async () => {
        info = textOf(await node.socket.call("INFO", "keyspace")) ?? "";
      });
      if (node.socket.failure !== undefined) continue;
      const keys = [...info.matchAll(/^db\d+:keys=(\d+)/gm)].reduce(
        (sum, [, n]) => sum + Number(n),
        0,
      );
      // Expired keys vanish from now on, never others.
      const isFine = keys <= prepared.keys && keys >= prepared.keys - prepared.keysWithExpiry;
      if (!isFine) wrong.push(`${node.node} holds ${keys} keys of ${prepared.keys}`);
    }
    return wrong;
  }

  close(): void {
    for (const { master, node } of this.#feeds) {
      master.close();
      node.socket.destroy();
    }
  }

  /** Waits while `progress` grows. */
  async #until(
    isTrue: () => boolean,
    progress: () => number | Promise<number>,
    isFine: (feed: Feed) => boolean,
  ): Promise<void> {
    const { clock, signal, stalledMsMax } = this.#options;
    let best = -1;
    let movedAtMs = clock.nowMs();
    while (!isTrue()) {
      signal.throwIfAborted();
      const now = await progress();
      if (now !== best) {
        best = now;
        movedAtMs = clock.nowMs();
      }
      if (clock.nowMs() - movedAtMs > stalledMsMax) throw this.#stalled(isFine);
      await this.#changed();
    }
  }

  /** Something has happened at a fake master, or POLL_MS have passed. */
  async #changed(): Promise<void> {
    let ends: (() => void)[] = [];
    await new Promise<void>((resolve) => {
      ends = [
        this.#options.clock.after(POLL_MS, resolve),
        ...this.#feeds.map(({ master }) => master.onChange(resolve)),
      ];
    });
    for (const end of ends) end();
  }

  #stalled(isFine: (feed: Feed) => boolean): TwineError {
    return new TwineError(
      this.#feeds
        .filter((feed) => !isFine(feed))
        .map(({ node, master }) => ({
          code: "NODE_STALLED",
          message: `${node.node} took nothing for ${this.#options.stalledMsMax / 1000} s: ${master.failure ?? "it did not connect to this machine"}`,
          remedy: `see its log, and whether it reaches ${node.socket.localAddress || "this machine"}; then restore again`,
        })),
    );
  }
}

/** The prepared RDB is none any more. */
function unreadable(path: string, error: Error): Error {
  if (error instanceof TwineError) return error;
  const remedy = "nothing was changed; see who writes into that folder, and restore again";
  const message = `${path}: ${error.message}`;
  return new TwineError({ code: "PRIVATE_FOLDER_FAILED", message, remedy }, { cause: error });
}
