// http.ts: a monitor's HTTP answers: its health, the cluster's status that it knows, and metrics. Every monitor answers,
// alpha or not. Nothing can be changed here, so only reading needs authentication.
import { createHash } from "node:crypto";
import { createServer, type Server } from "node:http";
import { getRequestListener } from "@hono/node-server";
import type { Hono } from "hono";
import { majorityOf, nodesOf, type ClusterConfig } from "../core/cluster.ts";
import { listenOnAll } from "../ports/listen.ts";
import { isKnownHost } from "../core/known-hosts.ts";
import { connectionsMaxOf, HTTP_PORT } from "../core/side-ports.ts";
import { readHttpToken } from "../ports/http-token.ts";
import type { Request } from "../core/request.ts";
import { readOnlyApp } from "../ports/read-only-app.ts";
import type { RegisterReading } from "../register/register.ts";
import { renderHtml } from "../status/html.ts";
import { renderJson } from "../status/json.ts";
import { readReshardProgress } from "../register/reshard-progress.ts";
import { knowledgeOf } from "../status/knowledge.ts";
import { reportOf, type StatusReport } from "../status/report.ts";
import { renderSummary } from "../status/summary.ts";
import { renderXml } from "../status/xml.ts";
import {
  METRIC_PARTS,
  collectMetrics,
  type CollectOptions,
  type MetricPart,
} from "./metrics/collect.ts";
import { CONTENT_TYPE } from "./metrics/exposition.ts";
import type { Monitor } from "./monitor.ts";
import { provenReading } from "./proven-reading.ts";

export interface HttpOptions extends CollectOptions {
  readonly monitor: Monitor;
  readonly config: () => ClusterConfig;
  /** A fresh reading of the status nodes. */
  readonly read: () => Promise<RegisterReading>;
  readonly readRequests: () => Promise<readonly Request[]>;
  /** The text of templates/status.html.hbs. */
  readonly statusTemplate: string;
}

const TEXT = "text/plain; charset=utf-8";
const TEXT_WIDTH = 100;

/** The time for a whole request: a normal one has a few hundred bytes. */
const REQUEST_MS_MAX = 10_000;
const IDLE_MS = 5000;

interface Page {
  readonly type: string;
  readonly render: (report: StatusReport, options: HttpOptions) => string;
}

const PAGES: Readonly<Record<string, Page>> = {
  "/status.json": { type: "application/json", render: renderJson },
  "/status.xml": { type: "application/xml", render: renderXml },
  "/status.html": {
    type: "text/html; charset=utf-8",
    render: (report, { statusTemplate, clock }) =>
      renderHtml(report, statusTemplate, clock.wallTime()),
  },
  "/status.txt": {
    type: TEXT,
    render: (report) => renderSummary(report, { color: false, width: TEXT_WIDTH }),
  },
};

const PATHS = ["/healthz", ...Object.keys(PAGES), "/metrics"];

/**
 * The routes. `/status.*` returns 503 while fewer than a majority of the status nodes answer this monitor, or while they
 * are another cluster's; the page still shows what is known. Other paths get 404 and the list of paths; methods other than
 * GET and HEAD get 405.
 */
export function monitorApp(options: HttpOptions): Hono {
  const app = readOnlyApp(PATHS, {
    isKnownHost: (host) => isKnownHost(host, options.config()),
    token: () => readHttpToken(options.config()),
  });
  app.get("/healthz", (context) => {
    const health = options.monitor.health();
    return context.json(health, health.ok ? 200 : 503);
  });
  for (const [path, page] of Object.entries(PAGES)) {
    app.get(path, async (context) => {
      const report = await reportNow(options);
      const body = page.render(report, options);
      const headers = { "content-type": page.type, ...policyOf(page, body) };
      return context.body(body, isProven(report) ? 200 : 503, headers);
    });
  }
  app.get("/metrics", async (context) => {
    const only = context.req.query("only");
    const parts = METRIC_PARTS.filter((part) => only === undefined || part === only);
    if (parts.length === 0) return context.text(`only is one of ${METRIC_PARTS.join(", ")}\n`, 400);
    const text = await metricsNow(options, parts);
    return context.body(text, 200, { "content-type": CONTENT_TYPE });
  });
  return app;
}

async function reportNow({
  clock,
  config,
  monitor,
  read,
  readRequests,
}: HttpOptions): Promise<StatusReport> {
  const statusCount = nodesOf(config(), "status").length;
  const reading = await provenReading(read, statusCount);
  const known = knowledgeOf([reading]);
  const knowledge = {
    ...known,
    ...(await readReshardProgress(known.view, readRequests)),
    alphaAlive: monitor.isAlphaAlive(),
  };
  return reportOf(config(), knowledge, undefined, monitor.adoptedConf(), clock.wallTime());
}

async function metricsNow(options: HttpOptions, parts: readonly MetricPart[]): Promise<string> {
  return collectMetrics(options, await reportNow(options), parts);
}

/** A majority of the status nodes answered, and they are this cluster's. */
function isProven({ answered, problems, statusCount }: StatusReport): boolean {
  const isOther = problems.some(({ code }) => code === "CLUSTER_DIFFERS");
  return answered.length >= majorityOf(statusCount) && !isOther;
}

/** The page contains names from the network: it must run and fetch nothing, and use only its own style.
    https://www.w3.org/TR/CSP3/#grammardef-hash-source */
function policyOf(page: Page, body: string): Record<string, string> {
  if (!page.type.startsWith("text/html")) return {};
  const style = /<style>([\s\S]*?)<\/style>/.exec(body)?.[1] ?? "";
  const digest = createHash("sha256").update(style).digest("base64");
  const policy =
    `default-src 'none'; style-src 'sha256-${digest}'; base-uri 'none'; form-action 'none'; ` +
    "frame-ancestors 'none'";
  return { "content-security-policy": policy };
}

export interface HttpServer {
  close(): Promise<void>;
}

/** Serves `app` on each address. Rejects with PORT_TAKEN when another process has the port. `filesMax` is this process's
    limit of open files, if known. */
export async function serveHttp(
  app: Hono,
  addresses: readonly string[],
  port: number,
  filesMax?: number,
): Promise<HttpServer> {
  const connectionsMax = connectionsMaxOf(HTTP_PORT, filesMax, addresses.length);
  const make = (): Server => {
    // The timeouts close a connection with half a request soon, and the limit leaves descriptors for others.
    // HTTP/1.0 has no Host header. Health checks use it, and would get 400 without this default name.
    const answer = getRequestListener(app.fetch, { hostname: "localhost" });
    const server = createServer(
      { requestTimeout: REQUEST_MS_MAX, headersTimeout: REQUEST_MS_MAX, keepAliveTimeout: IDLE_MS },
      (request, response) => {
        void answer(request, response);
      },
    );
    server.maxConnections = connectionsMax;
    return server;
  };
  const where = addresses.map((host) => ({ host, port }));
  const servers = await listenOnAll(where, make, "the monitor's HTTP server");
  return {
    close: async () => {
      const closing = servers.map((server) => new Promise((resolve) => server.close(resolve)));
      for (const server of servers) server.closeAllConnections();
      await Promise.all(closing);
    },
  };
}
