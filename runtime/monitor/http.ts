// http.ts: what a monitor tells over HTTP: whether it is well, and the cluster's status as it knows it.
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import type { ClusterConfig } from "../core/cluster.ts";
import { TwineError } from "../core/errors.ts";
import type { RegisterReading } from "../register/register.ts";
import { renderJson } from "../status/json.ts";
import { knowledgeOf } from "../status/knowledge.ts";
import { reportOf } from "../status/report.ts";
import type { Monitor } from "./monitor.ts";

export interface HttpOptions {
  readonly monitor: Monitor;
  readonly config: () => ClusterConfig;
  /** A fresh reading of the status nodes. */
  readonly read: () => Promise<RegisterReading>;
}

/** The routes: /healthz and /status.json. */
export function monitorApp(options: HttpOptions): Hono {
  const app = new Hono();
  app.get("/healthz", (context) => {
    const health = options.monitor.health();
    return context.json(health, health.ok ? 200 : 503);
  });
  app.get("/status.json", async (context) => {
    const reading = await options.read();
    const knowledge = { ...knowledgeOf([reading]), alphaAlive: options.monitor.isAlphaAlive() };
    return context.body(renderJson(reportOf(options.config(), knowledge)), 200, {
      "content-type": "application/json",
      "cache-control": "no-store",
    });
  });
  app.onError((error, context) => context.json({ ok: false, why: error.message }, 500));
  return app;
}

export interface HttpServer {
  close(): Promise<void>;
}

/** Serves `app` on each address; rejects with PORT_TAKEN when somebody else has the port. */
export async function serveHttp(
  app: Hono,
  addresses: readonly string[],
  port: number,
): Promise<HttpServer> {
  const servers = await Promise.all(addresses.map((address) => listen(app, address, port)));
  return {
    close: async () => {
      await Promise.all(servers.map((server) => server.close()));
    },
  };
}

function listen(app: Hono, hostname: string, port: number): Promise<HttpServer> {
  return new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, hostname, port }, () => {
      resolve({
        close: () =>
          new Promise((closed) => {
            server.close(() => {
              closed();
            });
            if ("closeAllConnections" in server) server.closeAllConnections();
          }),
      });
    });
    server.once("error", (cause: Error) => {
      reject(portError(hostname, port, cause));
    });
  });
}

function portError(hostname: string, port: number, cause: Error): TwineError {
  const isTaken = "code" in cause && cause.code === "EADDRINUSE";
  return new TwineError(
    {
      code: isTaken ? "PORT_TAKEN" : "PORT_REFUSED",
      message: `can't listen on ${hostname}:${port}: ${isTaken ? "another process does" : cause.message}`,
      remedy: "stop that process, or give the monitor another port in twine.conf",
    },
    { cause },
  );
}
