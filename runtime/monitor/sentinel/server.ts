// server.ts: a monitor as a sentinel: listens, follows the view, answers clients, and sends changes to subscribers.
//
//   status nodes --ViewSource--> picture, ages --> clients: answers
//                                    '-- changed --> clients: messages such as +switch-master
//
// Every monitor with a Sentinel port serves, alpha or not. The caller closes the view source after the server.
import { createServer, type Server, type Socket } from "node:net";
import type { ClusterConfig } from "../../core/cluster.ts";
import type { Secret } from "../../core/credentials.ts";
import { connectionsMaxOf, SENTINEL_PORT } from "../../core/side-ports.ts";
import type { Clock } from "../../ports/clock.ts";
import { listenOnAll } from "../../ports/listen.ts";
import type { Log } from "../../ports/log.ts";
import type { ViewSource } from "../../register/view-source.ts";
import { agesAfter, type Ages } from "./ages.ts";
import type { AnswerSource } from "./answers.ts";
import { SentinelClient, type ClientContext } from "./client.ts";
import { messagesBetween } from "./events.ts";
import { cachedOffsets, type Offsets } from "./offsets.ts";
import { pictureOf, type Picture } from "./picture.ts";

export interface SentinelOptions {
  /** The monitor's name in `config`. */
  readonly name: string;
  /** The present configuration: it changes when twine.conf is read again. */
  readonly config: () => ClusterConfig;
  readonly viewSource: ViewSource;
  /** The password for clients, as user app or default; undefined: no authentication. */
  readonly password: Secret | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly addresses: readonly string[];
  readonly port: number;
  /** Reads data node -> JSON of LastSeen from the status nodes. */
  readonly readOffsets: () => Promise<ReadonlyMap<string, string>>;
  /** This process's limit of open files, if known. */
  readonly filesMax?: number | undefined;
}

export interface SentinelServer {
  /** Closes every connection. */
  close(): Promise<void>;
}

/** A subscriber may send nothing for days: this detects that its machine is gone. Redis's default of tcp-keepalive. */
const KEEP_ALIVE_MS = 300_000;
const SOCKET_OPTIONS = {
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: KEEP_ALIVE_MS,
};

/** Resolves when all addresses listen. Throws TwineError PORT_TAKEN or PORT_REFUSED. */
export async function startSentinel(options: SentinelOptions): Promise<SentinelServer> {
  const sentinel = new Sentinel(options);
  const make = (): Server =>
    createServer(SOCKET_OPTIONS, (socket) => {
      sentinel.accept(socket);
    });
  const { addresses, port } = options;
  try {
    const servers = await listenOnAll(
      addresses.map((host) => ({ host, port })),
      make,
      "the monitor's Sentinel port",
    );
    return {
      close: async () => {
        const closing = servers.map((server) => new Promise((resolve) => server.close(resolve)));
        sentinel.close();
        await Promise.all(closing);
      },
    };
  } catch (error) {
    sentinel.close();
    throw error;
  }
}

class Sentinel {
  readonly #options: SentinelOptions;
  readonly #clients = new Set<SentinelClient>();
  readonly #offsets: Offsets;
  readonly #startedAtMs: number;
  readonly #endWatch: () => void;
  #endDoubt: () => void = () => undefined;
  /** Since when the view is unconfirmed; null while it is confirmed. */
  #doubtedSinceMs: number | null = null;
  #config: ClusterConfig;
  #picture: Picture;
  #ages: Ages;
  #lastId = 0;

  constructor(options: SentinelOptions) {
    this.#options = options;
    const { clock, viewSource } = options;
    this.#startedAtMs = clock.nowMs();
    this.#offsets = cachedOffsets(clock, options.readOffsets, (error) => {
      options.log.debug("no offsets for Sentinel's clients", { why: String(error) });
    });
    this.#config = options.config();
    this.#noteDoubt();
    this.#picture = this.#look();
    this.#ages = agesAfter(new Map(), this.#picture, this.#startedAtMs);
    this.#endWatch = viewSource.onChange(() => {
      this.#noteDoubt();
      this.#refresh();
    });
  }

  accept(socket: Socket): void {
    if (this.#clients.size >= connectionsMaxOf(SENTINEL_PORT, this.#options.filesMax)) {
      socket.on("error", () => socket.destroy());
      // It may not close its side: its descriptor must be free all the same.
      socket.end("-ERR max number of clients reached\r\n", () => socket.destroy());
      return;
    }
    const client = new SentinelClient(socket, ++this.#lastId, this.#clientContext());
    this.#clients.add(client);
    socket.on("close", () => this.#clients.delete(client));
  }

  close(): void {
    this.#endWatch();
    this.#endDoubt();
    for (const client of this.#clients) client.destroy();
  }

  #clientContext(): ClientContext {
    return {
      password: this.#options.password,
      clock: this.#options.clock,
      source: () => this.#source(),
      sourceWithOffsets: async () => {
        await this.#offsets.refresh();
        return this.#source();
      },
      clientLines: () => [...this.#clients].map(({ line }) => line).join(""),
    };
  }

  #source(): AnswerSource {
    const { clock, config, port } = this.#options;
    // twine.conf may have been read again.
    if (config() !== this.#config) this.#refresh();
    const nowMs = clock.nowMs();
    return {
      picture: this.#picture,
      ages: this.#ages,
      nowMs,
      offsets: this.#offsets.known(),
      port,
      clients: this.#clients.size,
      uptimeMs: nowMs - this.#startedAtMs,
    };
  }

  /** A view counts as unconfirmed only after down-after: one late answer of a status node, on a busy machine, must not send
      every client away. */
  #noteDoubt(): void {
    const { clock, viewSource, config } = this.#options;
    const wasDoubted = this.#doubtedSinceMs !== null;
    if (viewSource.isConfirmed()) this.#doubtedSinceMs = null;
    else this.#doubtedSinceMs ??= clock.nowMs();
    if (wasDoubted === (this.#doubtedSinceMs !== null)) return;
    this.#endDoubt();
    if (this.#doubtedSinceMs === null) return;
    // One millisecond more, because a timer may fire a little early.
    this.#endDoubt = clock.after(config().settings.downAfterMs + 1, () => {
      this.#refresh();
    });
  }

  #look(): Picture {
    const { name, viewSource, clock } = this.#options;
    const since = this.#doubtedSinceMs;
    const isConfirmed = since === null || clock.nowMs() - since < this.#config.settings.downAfterMs;
    return pictureOf({
      config: this.#config,
      self: name,
      view: viewSource.current(),
      isConfirmed,
    });
  }

  #refresh(): void {
    this.#config = this.#options.config();
    const before = this.#picture;
    this.#picture = this.#look();
    this.#ages = agesAfter(this.#ages, this.#picture, this.#options.clock.nowMs());
    for (const message of messagesBetween(before, this.#picture)) {
      for (const client of this.#clients) client.hear(message);
    }
  }
}
