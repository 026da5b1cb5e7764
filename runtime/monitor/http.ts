// http.ts: what a monitor tells over HTTP: whether it is well, the cluster's status as it knows it, and metrics. Every
// monitor answers, alpha or not. Nothing can be changed here, so there is nothing to authenticate but who may look.
import { createHash } from "node:crypto";
import { serve } from "@hono/node-server";
import type { Hono } from "hono";
import { majorityOf, type ClusterConfig } from "../core/cluster.ts";
import { TwineError } from "../core/errors.ts";
import { readOnlyApp } from "../ports/read-only-app.ts";
import type { RegisterReading } from "../register/register.ts";
import { renderHtml } from "../status/html.ts";
import { renderJson } from "../status/json.ts";
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

export interface HttpOptions extends CollectOptions {
  readonly monitor: Monitor;
  readonly config: () => ClusterConfig;
  /** A fresh reading of the status nodes. */
  readonly read: () => Promise<RegisterReading>;
  /** The text of templates/status.html.hbs. */
  readonly statusTemplate: string;
}

const TEXT = "text/plain; charset=utf-8";
const TEXT_WIDTH = 100;

interface Page {
  readonly type: string;
  readonly render: (report: StatusReport, options: HttpOptions) => string;
}

const PAGES: Readonly<Record<string, Page>> = {
  "/status.json": { type: "application/json", render: renderJson },
  "/status.xml": { type: "application/xml", render: renderXml },
  "/status.html": {
    type: "text/html; charset=utf-8",
    render: (report, { statusTemplate }) => renderHtml(report, statusTemplate),
  },
  "/status.txt": {
    type: TEXT,
    render: (report) => renderSummary(report, { color: false, width: TEXT_WIDTH }),
  },
};

const PATHS = ["/healthz", ...Object.keys(PAGES), "/metrics"];

/**
 * The routes. `/status.*` answers 503 while too few status nodes answer this monitor to prove anything, or they are another
 * cluster's; the page still says what is known. Any other path gets 404 and the list of paths, any method but GET and HEAD gets 405.
 */
export function monitorApp(options: HttpOptions): Hono {
  const app = readOnlyApp(PATHS);
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

async function reportNow({ config, monitor, read }: HttpOptions): Promise<StatusReport> {
  const knowledge = { ...knowledgeOf([await read()]), alphaAlive: monitor.isAlphaAlive() };
  return reportOf(config(), knowledge);
}

async function metricsNow(options: HttpOptions, parts: readonly MetricPart[]): Promise<string> {
  return collectMetrics(options, await reportNow(options), parts);
}

/** The status nodes prove something, and of this cluster. */
function isProven({ answered, problems, statusCount }: StatusReport): boolean {
  const isOther = problems.some(({ code }) => code === "CLUSTER_DIFFERS");
  return answered.length >= majorityOf(statusCount) && !isOther;
}

/** The page holds names that came over the network: nothing in it may run or be fetched, and only its own style counts.
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
