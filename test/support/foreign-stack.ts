// foreign-stack.ts: what Twine takes over from: real nutcracker and redis-sentinel on free ports, ended by pid.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../runtime/ports/clock.ts";
import { NodeError } from "../../runtime/replication/node-error.ts";
import { openNodeSocket } from "../../runtime/replication/node-socket.ts";
import { textOf } from "../../runtime/resp/value.ts";
import type { CleanUp } from "./clean-up.ts";
import { freePort } from "./port-claims.ts";
import { until } from "./redis-server.ts";

export interface ForeignProgram {
  /** Its configuration. */
  readonly file: string;
  readonly port: number;
  kill(): Promise<void>;
}

/** `pool`: the lines of a pool but for its name and listen, which is a port of its own. */
export async function startNutcracker(
  pool: readonly string[],
  cleanUp: CleanUp,
): Promise<ForeignProgram> {
  const folder = await mkdtemp(join(tmpdir(), "twine-nutcracker-"));
  cleanUp(() => rm(folder, { recursive: true, force: true }));
  const [port, statsPort] = [await freePort(), await freePort()];
  const file = join(folder, "nutcracker.yml");
  const lines = ["alpha:", `  listen: 127.0.0.1:${port}`, ...pool.map((line) => `  ${line}`), ""];
  await writeFile(file, lines.join("\n"));
  const args = ["-c", file, "-m", "16384", "-a", "127.0.0.1", "-s", String(statsPort)];
  const child = spawn("nutcracker", args, { stdio: "ignore" });
  const kill = killerOf(child);
  cleanUp(kill);
  await until("nutcracker answers", () => answersPing(port));
  return { file, port, kill };
}

export interface WatchedSet {
  readonly name: string;
  readonly port: number;
  readonly password?: string;
}

/** A Sentinel that watches these masters of 127.0.0.1 with a quorum of 1. */
export async function startSentinelProgram(
  sets: readonly WatchedSet[],
  cleanUp: CleanUp,
): Promise<ForeignProgram> {
  const folder = await mkdtemp(join(tmpdir(), "twine-sentinel-"));
  cleanUp(() => rm(folder, { recursive: true, force: true }));
  const port = await freePort();
  const file = join(folder, "sentinel.conf");
  const lines = sets.flatMap(({ name, port: master, password }) => [
    `sentinel monitor ${name} 127.0.0.1 ${master} 1`,
    `sentinel down-after-milliseconds ${name} 1000`,
    ...(password === undefined ? [] : [`sentinel auth-pass ${name} ${password}`]),
  ]);
  await writeFile(
    file,
    [`port ${port}`, "bind 127.0.0.1", `dir ${folder}`, ...lines, ""].join("\n"),
  );
  const child = spawn("redis-server", [file, "--sentinel"], { stdio: "ignore" });
  const kill = killerOf(child);
  cleanUp(kill);
  await until("the Sentinel answers", () => answersPing(port));
  return { file, port, kill };
}

function killerOf(child: ChildProcess): () => Promise<void> {
  return async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    await exit;
  };
}

/** nutcracker closes the connection at a greeting that it does not know, so nothing but the command is sent. */
export async function askForeign(
  port: number,
  commands: readonly (readonly string[])[],
): Promise<string[]> {
  const address = { host: "127.0.0.1", port };
  const socket = await openNodeSocket(address, { clock: systemClock, silenceMsMax: 5000 });
  try {
    const replies = commands.map((words) => socket.call(...words));
    return (await Promise.all(replies)).map((reply) => textOf(reply) ?? "");
  } finally {
    socket.destroy();
  }
}

async function answersPing(port: number): Promise<boolean> {
  try {
    await askForeign(port, [["PING"]]);
    return true;
  } catch (error) {
    // One that wants a password first answers, too.
    return error instanceof NodeError && error.kind === "denied";
  }
}
