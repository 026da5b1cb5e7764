// server.ts: a monitor as a sentinel: listens, follows the view, answers clients, and tells subscribers what changed.
//
//   status nodes --ViewSource--> picture, ages --> clients: answers
//                                    '-- changed --> clients: +switch-master and its kin
//
// Every monitor with a Sentinel port serves, alpha or not. The view source belongs to the caller, who closes it after.
import { createServer, type Server, type Socket } from "node:net";
import type { ClusterConfig } from "../../core/cluster.ts";
import { TwineError } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
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
  /** As it stands now: it changes when twine.conf is read again. */
  readonly config: () => ClusterConfig;
  readonly viewSource: ViewSource;
  /** Asked of every client, as user app or default; undefined: nobody is asked. */
  readonly password: string | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly addresses: readonly string[];
  readonly port: number;
  /** Data node -> JSON of LastSeen, as the status nodes keep it. */
  readonly readOffsets: () => Promise<ReadonlyMap<string, string>>;
}

export interface SentinelServer {
  /** Ends every connection. */
  close(): Promise<void>;
}

/** As many as Redis takes unless told otherwise. */
const CLIENTS_MAX = 10_000;
/** A subscriber says nothing for days: this finds out that its machine is gone. As Redis's tcp-keepalive. */
const KEEP_ALIVE_MS = 300_000;

/** Resolves when every address is listened on. Throws TwineError PORT_TAKEN or PORT_REFUSED. */
export async function startSentinel(options: SentinelOptions): Promise<SentinelServer> {
  const sentinel = new Sentinel(options);
  const servers: Server[] = [];
  const close = async (): Promise<void> => {
    const closing = servers.map((server) => new Promise((resolve) => server.close(resolve)));
    sentinel.close();
    await Promise.all(closing);
  };
  try {
    for (const address of options.addresses) {
      const server = await listen(address, options.port, (socket) => {
        sentinel.welcome(socket);
      });
      servers.push(server);
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { close };
}

class Sentinel {
  readonly #options: SentinelOptions;
  readonly #clients = new Set<SentinelClient>();
  readonly #offsets: Offsets;
  readonly #startedAtMs: number;
  readonly #endWatch: () => void;
  #endDoubt: () => void = () => undefined;
  /** Since when the view is not confirmed; null while it is. */
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

  welcome(socket: Socket): void {
    if (this.#clients.size >= CLIENTS_MAX) {
      socket.on("error", () => socket.destroy());
      socket.end("-ERR max number of clients reached\r\n");
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
    // twine.conf may have been read again since.
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

  /** A view counts as doubtful only when it was not confirmed for down-after: one late answer of a status node, on a
      machine that has much to do, is no reason to send every client away. */
  #noteDoubt(): void {
    const { clock, viewSource, config } = this.#options;
    const wasDoubted = this.#doubtedSinceMs !== null;
    if (viewSource.isConfirmed()) this.#doubtedSinceMs = null;
    else this.#doubtedSinceMs ??= clock.nowMs();
    if (wasDoubted === (this.#doubtedSinceMs !== null)) return;
    this.#endDoubt();
    if (this.#doubtedSinceMs === null) return;
    // A millisecond more, for a timer may be a little early.
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

function listen(host: string, port: number, welcome: (socket: Socket) => void): Promise<Server> {
  const server = createServer(
    { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS },
    welcome,
  );
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      reject(cannotListen(host, port, error));
    });
    server.listen({ host, port }, () => {
      resolve(server);
    });
  });
}

function cannotListen(host: string, port: number, cause: NodeJS.ErrnoException): TwineError {
  const isTaken = cause.code === "EADDRINUSE";
  const why = isTaken ? "another process does" : cause.message;
  return new TwineError(
    {
      code: isTaken ? "PORT_TAKEN" : "PORT_REFUSED",
      message: `can't listen for Sentinel's clients on ${host}:${port}: ${why}`,
      remedy: "stop that process, or give the monitor another second port in twine.conf",
    },
    { cause },
  );
}
