// runtime-health.test.ts: the health check of monitors and routers, run as Docker runs it, against real sockets.
import { execFile } from "node:child_process";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { runtimeCheck } from "../../../infra/docker/runtime-health.ts";
import { findProgram } from "../../support/programs.ts";

interface Answer {
  readonly status: number;
  readonly said: string;
}

let withoutBash = "";
const servers: Server[] = [];

beforeAll(async () => {
  withoutBash = await mkdtemp(join(tmpdir(), "twine-health-"));
  await symlink(process.execPath, join(withoutBash, "node"));
});

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

afterAll(async () => {
  await rm(withoutBash, { recursive: true });
});

/** A server that answers every request so; its port. */
async function serve(status: number, body: string): Promise<number> {
  const server = createServer((_request, response) => response.writeHead(status).end(body));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

function run([, program = "", ...args]: readonly string[], path: string): Promise<Answer> {
  return new Promise((resolve) => {
    execFile(program, args, { env: { PATH: path } }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code), said: `${stdout}${stderr}` });
    });
  });
}

const http = (port: number): string[] =>
  runtimeCheck({ kind: "http", port, path: "/healthz" }, "127.0.0.1", false);
const tcp = (port: number): string[] => runtimeCheck({ kind: "tcp", port }, "127.0.0.1", false);

describe.each(findProgram("bash") === undefined ? ["node"] : ["bash", "node"])("by %s", (by) => {
  const check = (command: readonly string[]): Promise<Answer> =>
    run(command, by === "bash" ? (process.env["PATH"] ?? "") : withoutBash);

  test("a monitor that answers 200 is healthy, one that answers 503 is not", async () => {
    expect(await check(http(await serve(200, "{}")))).toEqual({ status: 0, said: "" });
    const ill = await check(http(await serve(503, '{"ok":false,"why":"no quorum"}')));
    expect(ill.status).toBe(1);
    expect(by === "node" || ill.said.includes('503 {"ok":false,"why":"no quorum"}')).toBe(true);
  });

  test("a router that takes a connection is healthy", async () => {
    expect(await check(tcp(await serve(200, "")))).toEqual({ status: 0, said: "" });
  });

  test("nobody on the port is unhealthy, and says so", async () => {
    const port = await serve(200, "");
    servers.splice(0).forEach((server) => server.close());
    for (const command of [http(port), tcp(port)]) {
      const { status, said } = await check(command);
      expect(status).toBe(1);
      expect(said).toMatch(/refused/i);
    }
  });
});

test("in a pod it looks for a network first, and passes where there is one", async () => {
  const port = await serve(200, "");
  const command = runtimeCheck({ kind: "tcp", port }, "127.0.0.1", true);
  expect(command[3]).toMatch(/kill -TERM 1/);
  const [, program = "", ...args] = command;
  // Whoever runs this has a network, or the check would end process 1.
  const harmless = args.map((arg) => arg.replace("kill -TERM 1", "echo alone"));
  const { said } = await run(["CMD", program, ...harmless], process.env["PATH"] ?? "");
  expect(said === "" || said.includes("alone")).toBe(true);
});
