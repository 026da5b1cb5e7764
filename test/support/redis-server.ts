// redis-server.ts: real redis-servers for tests, each in a folder of its own under the system's temporary folder,
// on a port of 127.0.0.1 that is free or given, ended by pid when the test ends.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { openRedisLink, type RedisLink } from "../../runtime/ports/redis-link.ts";
import { freePort } from "./port-claims.ts";

export interface TestRedis {
  readonly port: number;
  readonly folder: string;
  /** A new link each time; closed with the server. */
  link(): Promise<RedisLink>;
  /** kill -9 and wait until it is gone. */
  kill(): Promise<void>;
  /** Again, on the same port and folder; `program`: another server than before. */
  start(program?: string): Promise<void>;
  signal(name: NodeJS.Signals): void;
}

/** Waits until `isTrue` answers true; asks every 20 ms; fails with `what` after `withinMs`. */
export async function until(
  what: string,
  isTrue: () => boolean | Promise<boolean>,
  withinMs = 45_000,
): Promise<void> {
  const endMs = performance.now() + withinMs;
  while (!(await isTrue())) {
    if (performance.now() > endMs) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/**
 * Starts a redis-server; `settings` are redis.conf lines, e.g. "appendonly yes". Ended with the test. `fixedPort`: one that
 * the caller has claimed; otherwise a free one.
 */
export async function startRedis(
  settings: readonly string[] = [],
  cleanUp: (task: () => Promise<void>) => void = onTestFinished,
  fixedPort?: number,
): Promise<TestRedis> {
  const folder = await mkdtemp(join(tmpdir(), "twine-redis-"));
  const port = fixedPort ?? (await freePort());
  const links: RedisLink[] = [];
  let child: ChildProcess | undefined;
  const start = async (program = "redis-server"): Promise<void> => {
    const args = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""];
    for (const line of settings) {
      const [name = "", ...values] = line.split(" ");
      args.push(`--${name}`, ...values);
    }
    child = spawn(program, args, { stdio: "ignore" });
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
