// redis-process.ts: a redis-server or sentinel of a peer, from a configuration file in a folder of its own, ended by pid.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { openSync, closeSync } from "node:fs";
import { join } from "node:path";
import { openRedisLink, type RedisReply } from "../../runtime/ports/redis-link.ts";
import type { Victim } from "./contender.ts";

export class RedisProcess implements Victim {
  readonly name: string;
  readonly port: number;
  readonly folder: string;
  readonly #isSentinel: boolean;
  #child: ChildProcess | undefined;

  private constructor(name: string, port: number, folder: string, isSentinel: boolean) {
    this.name = name;
    this.port = port;
    this.folder = folder;
    this.#isSentinel = isSentinel;
  }

  /** Writes its configuration; nothing is started. */
  static async prepare(
    parent: string,
    name: string,
    port: number,
    lines: readonly string[],
    kind: "data" | "sentinel" = "data",
  ): Promise<RedisProcess> {
    const folder = join(parent, name);
    await mkdir(folder);
    const all = [`port ${port}`, "bind 127.0.0.1", `dir ${folder}`, ...lines, ""];
    await writeFile(join(folder, "redis.conf"), all.join("\n"));
    return new RedisProcess(name, port, folder, kind === "sentinel");
  }

  launch(): Promise<void> {
    const log = openSync(join(this.folder, "log"), "a");
    const args = ["redis.conf", ...(this.#isSentinel ? ["--sentinel"] : [])];
    this.#child = spawn("redis-server", args, { cwd: this.folder, stdio: ["ignore", log, log] });
    closeSync(log);
    const child = this.#child;
    return new Promise((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", reject);
    });
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exit = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await exit;
  }

  get isRunning(): boolean {
    return this.#child?.exitCode === null && this.#child.signalCode === null;
  }
}

/** One command on a connection of its own; rejects when nobody answers. */
export async function askPort(port: number, ...command: string[]): Promise<RedisReply> {
  const link = await openRedisLink(
    { host: "127.0.0.1", port },
    { connectTimeoutMs: 1000, commandTimeoutMs: 10_000 },
  );
  try {
    const [name = "", ...args] = command;
    return await link.call(name, ...args);
  } finally {
    link.close();
  }
}

/** The fields of INFO SECTION; empty when nobody answers. */
export async function infoOf(port: number, section: string): Promise<ReadonlyMap<string, string>> {
  const text = await askPort(port, "INFO", section).catch(() => "");
  const lines = typeof text === "string" ? text.split("\r\n") : [];
  return new Map(
    lines.flatMap((line): [string, string][] => {
      const at = line.indexOf(":");
      return at < 1 || line.startsWith("#") ? [] : [[line.slice(0, at), line.slice(at + 1)]];
    }),
  );
}

/** Whether `replicas` replicas of the master on `port` are online and have read up to an offset sampled just now. */
export async function hasReplicasInSync(port: number, replicas: number): Promise<boolean> {
  const fields = await infoOf(port, "replication");
  if (fields.get("role") !== "master") return false;
  const offset = Number(fields.get("master_repl_offset"));
  // The wire's own field name: slave0:ip=127.0.0.1,port=7001,state=online,offset=1234,lag=0
  const lines = [...fields].filter(([name]) => /^slave\d+$/.test(name)).map(([, value]) => value);
  const inSync = lines.filter(
    (line) =>
      line.includes("state=online") && Number(/offset=(\d+)/.exec(line)?.[1]) >= offset - 1000,
  );
  return inSync.length === replicas;
}
