// side-by-side.ts: the processes that a bench of routers compares: nutcracker and others, started, asked, and ended together.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../test/support/port-claims.ts";
import { until } from "../test/support/redis-server.ts";
import { RawClient } from "../test/support/router-cluster.ts";

export interface Target {
  readonly port: number;
  readonly pid: number;
}

const cleanUps: (() => Promise<void>)[] = [];

export function onEnd(task: () => Promise<void>): void {
  cleanUps.push(task);
}

/** What was started last ends first. */
export async function endAll(): Promise<void> {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
}

/** Bare bytes: twemproxy closes the connection at a client's usual handshake. */
async function answers(port: number): Promise<boolean> {
  const client = await RawClient.open(port).catch(() => undefined);
  const reply = await client?.call("GET none");
  client?.socket.destroy();
  return reply === "$-1\r\n";
}

/** Its pid, once it answers on `port`. */
export async function startProcess(
  port: number,
  program: string,
  args: readonly string[],
): Promise<number> {
  const child: ChildProcess = spawn(program, args, { stdio: "ignore" });
  onEnd(
    () =>
      new Promise((resolve) => {
        child.once("exit", () => {
          resolve();
        });
        if (!child.kill("SIGTERM")) resolve();
      }),
  );
  await until(`${program} answers`, () => answers(port));
  return child.pid ?? 0;
}

/** A twemproxy before these masters. */
export async function startNutcracker(masters: readonly number[]): Promise<Target> {
  const [port, statsPort] = [await freePort(), await freePort()];
  const folder = await mkdtemp(join(tmpdir(), "twine-bench-"));
  onEnd(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, "nutcracker.yml");
  const servers = masters.map((master) => `    - 127.0.0.1:${master}:1`).join("\n");
  // Its crc32a is the plain CRC-32 that Twine uses, so the keys are spread alike.
  await writeFile(
    file,
    `pool:\n  listen: 127.0.0.1:${port}\n  hash: crc32a\n  distribution: modula\n` +
      `  redis: true\n  servers:\n${servers}\n`,
  );
  const args = ["-c", file, "-s", String(statsPort), "-a", "127.0.0.1"];
  return { port, pid: await startProcess(port, "nutcracker", args) };
}
