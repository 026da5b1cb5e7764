// redis-server.ts: real redis-servers for tests, each in a folder of its own under the system's temporary folder,
// on a free port of 127.0.0.1, ended by pid when the test ends.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { openRedisLink, type RedisLink } from "../../runtime/ports/redis-link.ts";

export interface TestRedis {
  readonly port: number;
  readonly folder: string;
  /** A new link each time; closed with the server. */
  link(): Promise<RedisLink>;
  /** kill -9 and wait until it is gone. */
  kill(): Promise<void>;
  /** Again, on the same port and folder. */
  start(): Promise<void>;
  signal(name: NodeJS.Signals): void;
}

const given = new Set<number>();

/** A port that nobody listens on, below those that the kernel hands to outgoing connections: one of
    those could be taken again between this answer and its use. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    if (given.has(port) || !(await canListen(port))) continue;
    given.add(port);
    return port;
  }
}

function canListen(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => {
      resolve(false);
    });
    server.listen(port, "127.0.0.1", () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}

/** Waits until `isTrue` answers true; asks every 20 ms; fails with `what` after `withinMs`. */
export async function until(
  what: string,
  isTrue: () => boolean | Promise<boolean>,
  withinMs = 20_000,
): Promise<void> {
  const endMs = performance.now() + withinMs;
  while (!(await isTrue())) {
    if (performance.now() > endMs) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Starts a redis-server; `settings` are redis.conf lines, e.g. "appendonly yes". Ended with the test. */
export async function startRedis(
  settings: readonly string[] = [],
  cleanUp: (task: () => Promise<void>) => void = onTestFinished,
): Promise<TestRedis> {
  const folder = await mkdtemp(join(tmpdir(), "twine-redis-"));
  const port = await freePort();
  const links: RedisLink[] = [];
  let child: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    const args = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""];
    for (const line of settings) {
      const [name = "", ...values] = line.split(" ");
      args.push(`--${name}`, ...values);
    }
    child = spawn("redis-server", args, { stdio: "ignore" });
    await until(`redis-server on port ${port} answers`, () => answers(port));
  };
  const kill = async (): Promise<void> => {
    const ended = child;
    child = undefined;
    if (ended === undefined || ended.exitCode !== null || ended.signalCode !== null) return;
    const exit = new Promise((resolve) => ended.once("exit", resolve));
    ended.kill("SIGKILL");
    await exit;
  };
  cleanUp(async () => {
    for (const link of links) link.close();
    await kill();
    await rm(folder, { recursive: true, force: true });
  });
  await start();
  return {
    port,
    folder,
    kill,
    start,
    signal: (name) => child?.kill(name),
    link: async () => {
      const link = await openRedisLink({ host: "127.0.0.1", port }, { connectTimeoutMs: 2000 });
      links.push(link);
      return link;
    },
  };
}

async function answers(port: number): Promise<boolean> {
  try {
    const link = await openRedisLink({ host: "127.0.0.1", port }, { connectTimeoutMs: 500 });
    const info = await link.call("INFO", "persistence");
    link.close();
    return typeof info === "string" && /^loading:0/m.test(info);
  } catch {
    return false;
  }
}
