// engine-platform.test.ts: what an engine may answer to GET /version, and what becomes of it.
import { createServer, type Server } from "node:http";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { expect, test } from "vitest";
import { enginePlatform, platformIn } from "../../../infra/docker/engine-platform.ts";
import { outputValue } from "./recorded-program.ts";

test("the platform is that of the engine's own answer, and none of anything else", () => {
  expect(platformIn({ Version: "20.10.24", Os: "linux", Arch: "arm64" })).toBe("linux/arm64");
  for (const other of [undefined, null, "linux", {}, { Os: "linux" }, { Os: 1, Arch: 2 }]) {
    expect(platformIn(other)).toBeUndefined();
  }
  expect(platformIn({ Os: "linux", Arch: "amd64 --privileged" })).toBeUndefined();
});

test("an engine that does not answer, or answers nonsense, has no platform, and nothing throws", async () => {
  const folder = await mkdtemp(join(tmpdir(), "twine-platform-"));
  const servers: Server[] = [];
  const answering = async (body: string): Promise<string | undefined> => {
    const path = join(folder, `${servers.length}.sock`);
    const server = createServer((_request, response) => response.end(body)).listen(path);
    servers.push(server);
    await once(server, "listening");
    return outputValue(enginePlatform({ docker: `unix://${path}` }));
  };
  try {
    expect(await answering('{"Os":"linux","Arch":"amd64"}')).toBe("linux/amd64");
    expect(await answering("<html>")).toBeUndefined();
    const nowhere = { docker: `unix://${folder}/nowhere.sock` };
    expect(await outputValue(enginePlatform(nowhere))).toBeUndefined();
  } finally {
    for (const server of servers) server.close();
    await rm(folder, { recursive: true });
  }
});
