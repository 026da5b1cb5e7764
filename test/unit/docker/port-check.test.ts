// port-check.test.ts: which ports a program outside Docker is found to have, beside what an engine answers of its containers.
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { portsIn, takenPorts } from "../../../infra/docker/port-check.ts";
import type { PublishedPort } from "../../../infra/docker/published-ports.ts";
import { freePort } from "../../support/port-claims.ts";

const HERE = "127.0.0.1";

function published(node: string, external: number): PublishedPort {
  return { node, purpose: "router", internal: 6400, external, address: HERE };
}

/** An engine that says this of its containers. */
async function engineSaying(body: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "twine-ports-"));
  const path = join(folder, "docker.sock");
  const server = createHttpServer((_request, response) => response.end(body)).listen(path);
  await once(server, "listening");
  onTestFinished(async () => {
    server.close();
    await rm(folder, { recursive: true, force: true });
  });
  return `unix://${path}`;
}

async function heldPort(): Promise<number> {
  const port = await freePort();
  const server = createServer().listen(port, HERE);
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return port;
}

test("a port of a program outside Docker is named with node, address and remedy; one of a container is not", async () => {
  const [held, ofContainer, free] = [await heldPort(), await heldPort(), await freePort()];
  const containers = [{ Ports: [{ IP: HERE, PrivatePort: 6400, PublicPort: ofContainer }] }];
  const docker = await engineSaying(JSON.stringify(containers));
  const ports = [published("r1", held), published("r2", ofContainer), published("r3", free)];
  const problems = await takenPorts({ docker }, ports);
  expect(problems).toMatchObject([
    {
      code: "PORT_TAKEN",
      message: expect.stringContaining(`r1 is to be published as ${HERE}:${held}`) as string,
      remedy: expect.stringContaining("twine:publish, e.g. r1=16400") as string,
    },
  ]);
});

test("of an engine that is another machine's, or does not answer, nothing is said", async () => {
  const ports = [published("r1", await heldPort())];
  expect(await takenPorts({ docker: "ssh://db1" }, ports)).toEqual([]);
  expect(await takenPorts({ docker: "unix:///nowhere/docker.sock" }, ports)).toEqual([]);
  expect(await takenPorts({ docker: await engineSaying("<html>") }, ports)).toEqual([]);
});

test("whatever an engine answers, only numbers are ports", () => {
  for (const other of [
    null,
    {},
    "x",
    [null],
    [{ Ports: 1 }],
    [{ Ports: [null, { PublicPort: "1" }] }],
  ])
    expect(portsIn(other).size).toBe(0);
});
