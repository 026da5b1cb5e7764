// http-without-host.test.ts: health checks of containers speak HTTP/1.0, which has no Host.
import { once } from "node:events";
import { connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { serveHttp } from "../../runtime/monitor/http.ts";
import { readOnlyApp } from "../../runtime/ports/read-only-app.ts";
import { freePort } from "../support/port-claims.ts";

test("a monitor answers a request of HTTP/1.0, which has no Host", async () => {
  const app = readOnlyApp(["/healthz"], {
    isKnownHost: (host) => host === undefined || host === "known",
  });
  app.get("/healthz", (context) => context.text("well\n"));
  const port = await freePort();
  const server = await serveHttp(app, ["127.0.0.1"], port);
  onTestFinished(() => server.close());
  const socket = connect(port, "127.0.0.1");
  let answer = "";
  socket.on("data", (chunk) => (answer += chunk.toString()));
  socket.write("GET /healthz HTTP/1.0\r\n\r\n");
  await once(socket, "close");
  expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*well\n$/);
});
