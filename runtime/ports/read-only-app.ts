// read-only-app.ts: the common part of all HTTP ports: read-only methods, no caching, and readable errors.
import { Hono } from "hono";
import { showsToken } from "./http-token.ts";

export interface ReadOnlyOptions {
  /** Whether this Host header is accepted. Absent: any is. */
  readonly isKnownHost?: ((header: string | undefined) => boolean) | undefined;
  /** The token that a request must carry; undefined: none. Called for each request; if it throws, the reply is 500. */
  readonly token?: (() => string | undefined) | undefined;
}

/** Used by supervisors, containers and monitors: it shows only whether the process is healthy. */
const OPEN_PATH = "/healthz";

/**
 * An app without routes. An unknown Host gets 421, before anything else; a request without the token gets 401, except for
 * /healthz. A method other than GET and HEAD gets 405. Another path than `paths`, which the caller will add, gets 404 and
 * the list of paths. An error in a route gets 500 with its reason.
 */
export function readOnlyApp(
  paths: readonly string[],
  { isKnownHost = () => true, token = () => undefined }: ReadOnlyOptions = {},
): Hono {
  const app = new Hono();
  app.use(async (context, next) => {
    const host = context.req.header("host");
    if (!isKnownHost(host)) {
      const remedy =
        "ask by an address, by a host of twine.conf, or add the line `http-hosts NAME` to it";
      context.res = context.text(
        `the name ${host ?? ""} is not one of this server; ${remedy}\n`,
        421,
      );
      return;
    }
    const wanted = context.req.path === OPEN_PATH ? undefined : token();
    if (wanted !== undefined && !showsToken(context.req.header("authorization"), wanted)) {
      context.res = context.text("this page asks for the token of http-token\n", 401, {
        "www-authenticate": 'Basic realm="twine"',
      });
      return;
    }
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
