// server.ts: the router's second port. It speaks HTTP to who asks in HTTP, and gives twemproxy's statistics to who
// only connects, as twemproxy's own port does (`nc host 22222`), so that what read a twemproxy reads this.
//
//   connection ─┬─ bytes come           -> HTTP: /stats.json /metrics /healthz
//               └─ none, or its end, in SILENT_MS -> one line of JSON, and the end
//
// Nothing can be changed here, so there is nothing to authenticate but who may look.
import { createServer as createHttpServer } from "node:http";
import { createServer, type Server, type Socket } from "node:net";
import { getRequestListener } from "@hono/node-server";
import type { Hono } from "hono";
import { TwineError } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import { readOnlyApp } from "../../ports/read-only-app.ts";
import { metricsText, type RouterFacts } from "./metrics.ts";
import type { RouterSnapshot } from "./snapshot.ts";
import { twemproxyStats } from "./twemproxy.ts";

export interface Figures {
  /** Of all processes of the router. */
  readonly snapshot: RouterSnapshot;
  readonly facts: RouterFacts;
}

export interface StatsServerOptions {
  readonly collect: () => Promise<Figures>;
  readonly clock: Clock;
  readonly addresses: readonly string[];
  readonly port: number;
}

/** A client that speaks HTTP sends its request with the connection; whoever is silent so long wants twemproxy's port. */
const SILENT_MS = 250;
const CONNECTIONS_MAX = 256;
const PATHS = ["/healthz", "/stats.json", "/metrics"];

export interface StatsServer {
  close(): Promise<void>;
}

/** Rejects with ROUTER_STATS_PORT_TAKEN or ROUTER_STATS_CANNOT_LISTEN. */
export async function startStatsServer(options: StatsServerOptions): Promise<StatsServer> {
  const { collect, clock, addresses, port } = options;
  const sockets = new Set<Socket>();
  const answer = getRequestListener(statsApp(collect).fetch);
  const http = createHttpServer((request, response) => void answer(request, response));
  const servers: Server[] = [];
  const welcome = (socket: Socket): void => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    const say = (): void => {
      collect().then(
        ({ snapshot, facts }) => socket.end(twemproxyStats(snapshot, facts)),
        () => socket.destroy(),
      );
    };
    firstWord(socket, clock, say, () => {
      http.emit("connection", socket);
    });
  };
  const close = async (): Promise<void> => {
    const closing = servers.map((server) => new Promise((resolve) => server.close(resolve)));
    for (const socket of sockets) socket.destroy();
    await Promise.all(closing);
  };
  try {
    for (const host of addresses) {
      const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, welcome);
      server.maxConnections = CONNECTIONS_MAX;
      servers.push(server);
      await listen(server, host, port);
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { close };
}

/** Calls `say` for a client that says nothing, or `speak` with the socket as it came once it has said something. */
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
 * The routes. `/healthz` is 200 while all processes run and a majority of the status nodes confirms the view of each, else
 * 503: writes are held then. Any other path gets 404 and the list of paths, any method but GET and HEAD 405.
 */
export function statsApp(collect: () => Promise<Figures>): Hono {
  const app = readOnlyApp(PATHS);
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

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const isTaken = error.code === "EADDRINUSE";
      reject(
        new TwineError(
          {
            code: isTaken ? "ROUTER_STATS_PORT_TAKEN" : "ROUTER_STATS_CANNOT_LISTEN",
            message: isTaken
              ? `another process already listens on ${host}:${port}, the router's port for statistics`
              : `can't listen on ${host}:${port} for statistics: ${error.message}`,
            remedy: "end that process, or give the router another STATS-PORT in twine.conf",
          },
          { cause: error },
        ),
      );
    });
    server.listen(port, host, resolve);
  });
}
