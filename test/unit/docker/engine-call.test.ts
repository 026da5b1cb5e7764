// engine-call.test.ts: what the engine's answers mean: refused, missing, or not asked at all.
import { createServer, type Server } from "node:http";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { callEngine, EngineError, isMissing } from "../../../infra/docker/engine-call.ts";
import { isRunning } from "../../../infra/docker/live/running-files.ts";

describe("an engine's answer", () => {
  let folder: string;
  let server: Server;
  const endpoint = (): { docker: string } => ({ docker: `unix://${join(folder, "socket")}` });

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "twine-engine-"));
    server = createServer(({ url = "" }, response) => {
      // A message of another error may contain the number.
      const [status, message] = url.includes("missing")
        ? [404, "No such container: missing"]
        : [500, "answers 404: of a container"];
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify({ message }));
    });
    await new Promise<void>((done) => server.listen(join(folder, "socket"), done));
  });
  afterAll(async () => {
    server.close();
    await rm(folder, { recursive: true, force: true });
  });

  const errorOf = (path: string, at = endpoint()): Promise<unknown> =>
    callEngine(at, path).then(
      () => undefined,
      (error: unknown) => error,
    );

  test("404 means that it does not exist, and no other refusal and no silence does", async () => {
    const missing = await errorOf("/containers/missing/json");
    expect(missing).toBeInstanceOf(EngineError);
    expect(isMissing(missing)).toBe(true);
    expect(String(missing)).toContain("No such container: missing");
    const refused = await errorOf("/containers/a1/json");
    expect(refused).toMatchObject({ status: 500 });
    expect(isMissing(refused)).toBe(false);
    const silent = await errorOf("/x", { docker: `unix://${join(folder, "nobody")}` });
    expect(isMissing(silent)).toBe(false);
  });

  test("a container counts as stopped when it is missing, not when the engine can't say", async () => {
    expect(await isRunning({ endpoint: endpoint(), id: "missing" })).toBe(false);
    await expect(isRunning({ endpoint: endpoint(), id: "a1" })).rejects.toThrow("answers 500");
  });
});
