// read-only-app.ts: what every HTTP port of ours does, whatever it shows: it is read and nothing else, nothing keeps its
// pages, and what goes wrong is said in words.
import { Hono } from "hono";

/**
 * An app without routes yet; `paths` are those that the caller will add. Any method but GET and HEAD gets 405, any other
 * path 404 and the list of paths, and what a route throws 500 with its reason.
 */
export function readOnlyApp(paths: readonly string[]): Hono {
  const app = new Hono();
  app.use(async (context, next) => {
    const isRead = context.req.method === "GET" || context.req.method === "HEAD";
    if (isRead) await next();
    else context.res = context.text("only GET and HEAD\n", 405, { allow: "GET, HEAD" });
    context.header("cache-control", "no-store");
    context.header("x-content-type-options", "nosniff");
  });
  app.notFound((context) =>
    context.text(`there is no ${context.req.path}; there are ${paths.join(", ")}\n`, 404),
  );
  app.onError((error, context) => context.json({ ok: false, why: error.message }, 500));
  return app;
}
