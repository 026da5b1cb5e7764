// server.ts: the router's second port. It serves HTTP, and sends twemproxy's statistics to clients that send nothing, as
// twemproxy's own port does (`nc host 22222`), so that tools for twemproxy also work here.
//
//   connection ─┬─ bytes arrive                -> HTTP: /stats.json /metrics /healthz
//               └─ none within SILENT_MS, or EOF -> one line of JSON, then the connection is closed
//
// Nothing can be changed here; a token only restricts who may read.
import { createServer as createHttpServer } from "node:http";
import { createServer, type Server, type Socket } from "node:net";
import { getRequestListener } from "@hono/node-server";
import type { Hono } from "hono";
import { connectionsMaxOf, HTTP_PORT } from "../../core/side-ports.ts";
import type { Clock } from "../../ports/clock.ts";
import { listen, listenShared } from "../../ports/listen.ts";
import { readOnlyApp, type ReadOnlyOptions } from "../../ports/read-only-app.ts";
import { metricsText, type RouterFacts } from "./metrics.ts";
import type { RouterSnapshot } from "../../engine/stats/snapshot.ts";
import { twemproxyStats } from "./twemproxy.ts";

export interface Figures {
  /** The sum over all processes of the router. */
  readonly snapshot: RouterSnapshot;
  readonly facts: RouterFacts;
}

export interface StatsServerOptions extends ReadOnlyOptions {
  readonly collect: () => Promise<Figures>;
  readonly clock: Clock;
  readonly addresses: readonly string[];
  readonly port: number;
  /** Another process of this router may listen there, which this one takes over. */
  readonly isPortShared?: boolean;
  /** This process's limit of open files, if known. */
  readonly filesMax?: number | undefined;
}

/** An HTTP client sends its request at once. A client that is silent for longer gets twemproxy's statistics. */
const SILENT_MS = 250;
/** The timeout for the next complete request: a slow one would keep its connection from other clients. */
const REQUEST_MS_MAX = 10_000;
const PATHS = ["/healthz", "/stats.json", "/metrics"];

export interface StatsServer {
  close(): Promise<void>;
}

/** Rejects with PORT_TAKEN or PORT_REFUSED. */
export async function startStatsServer(options: StatsServerOptions): Promise<StatsServer> {
  const { collect, clock, addresses, port } = options;
  const connectionsMax = connectionsMaxOf(HTTP_PORT, options.filesMax, addresses.length);
  const sockets = new Set<Socket>();
  // HTTP/1.0 has no Host header: without a default the request would get 400.
  const answer = getRequestListener(statsApp(collect, options).fetch, {
    hostname: "localhost",
  });
  // node:http applies its timeouts only to servers that listen themselves.
  const awaiting = new WeakMap<Socket, () => void>();
  const awaitRequest = (socket: Socket): void => {
    const end = clock.after(REQUEST_MS_MAX, () => socket.destroy());
    awaiting.set(socket, end);
    socket.once("close", end);
  };
  const http = createHttpServer((request, response) => {
    awaiting.get(request.socket)?.();
    response.once("close", () => {
      awaitRequest(request.socket);
    });
    void answer(request, response);
  });
  const servers: Server[] = [];
  const accept = (socket: Socket): void => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    const say = (): void => {
      // A silent client shows no token.
      if (asksForToken(options)) {
        socket.destroy();
        return;
      }
      collect().then(
        ({ snapshot, facts }) => socket.end(twemproxyStats(snapshot, facts)),
        () => socket.destroy(),
      );
    };
    firstWord(socket, clock, say, () => {
      http.emit("connection", socket);
      awaitRequest(socket);
    });
  };
  const close = async (): Promise<void> => {
    const closing = servers.map((server) => new Promise((resolve) => server.close(resolve)));
    for (const socket of sockets) socket.destroy();
    await Promise.all(closing);
  };
  try {
    for (const host of addresses) {
      const make = (): Server => {
        const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, accept);
        server.maxConnections = connectionsMax;
        return server;
      };
      const what = "the statistics of the router";
      const address = { host, port };
      const isShared = options.isPortShared === true;
      servers.push(
        await (isShared ? listenShared(make, address, what) : listen(make(), address, what)),
      );
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { close };
}

/** Returns true also if the token's file can't be read. */
function asksForToken({ token }: ReadOnlyOptions): boolean {
  try {
    return token?.() !== undefined;
  } catch {
    return true;
  }
}

/** Calls `say` for a client that sends nothing, or `speak` when the first bytes have arrived; the socket still has them. */
function firstWord(socket: Socket, clock: Clock, say: () => void, speak: () => void): void {
  const decide = (task: () => void): void => {
    endWait();
    socket.off("readable", onReadable);
    socket.off("end", onEnd);
    task();
  };
  const onReadable = (): void => {
    const chunk: unknown = socket.read();
    if (!(chunk instanceof Buffer)) return;
    decide(() => {
      socket.unshift(chunk);
      speak();
    });
  };
  const onEnd = (): void => {
    decide(say);
  };
  const endWait = clock.after(SILENT_MS, () => {
    decide(say);
  });
  socket.on("readable", onReadable);
  socket.on("end", onEnd);
  socket.on("close", endWait);
}

/**
 * The routes. `/healthz` returns 200 while all processes run and each has a view that a majority of the status nodes
 * confirms, else 503: writes are buffered then. Another path gets 404 and the list of paths; another method than GET and
 * HEAD gets 405.
 */
export function statsApp(collect: () => Promise<Figures>, options: ReadOnlyOptions = {}): Hono {
  const app = readOnlyApp(PATHS, options);
  app.get("/healthz", async (context) => {
    const { snapshot, facts } = await collect();
    const { processes, confirmed } = snapshot.levels;
    const ok = processes >= facts.workers && confirmed === processes;
    return context.json(
      { ok, workers: processes, wanted: facts.workers, confirmed },
      ok ? 200 : 503,
    );
  });
  app.get("/stats.json", async (context) => {
    const { snapshot, facts } = await collect();
    return context.body(twemproxyStats(snapshot, facts), 200, {
      "content-type": "application/json",
    });
  });
  app.get("/metrics", async (context) => {
    const { snapshot, facts } = await collect();
    const { text, type } = await metricsText(snapshot, facts);
    return context.body(text, 200, { "content-type": type });
  });
  return app;
}
