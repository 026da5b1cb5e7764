// fault-cluster.ts: a whole cluster of real processes, set up and started by Twine's own local applier from the sources,
// to whose processes a test (or a bench) does what faults do: kill -9, pause, start again, with its data or without.
//
//   create -> start -> { kill | pause | launch | emptyData | heal } ... -> remove
import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setup, start } from "../../infra/local/commands.ts";
import type { LocalRequest } from "../../infra/local/context.ts";
import { runningProcess, writePidFile } from "../../infra/local/pid-file.ts";
import { silentProgress } from "../../infra/local/progress.ts";
import { twineHome } from "../../runtime/cli/package-root.ts";
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import type { PartitionView, View } from "../../runtime/core/view.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { openRedisLink, type RedisReply } from "../../runtime/ports/redis-link.ts";
import { openAcceptors } from "../../runtime/register/acceptors.ts";
import { readRegister } from "../../runtime/register/read.ts";
import { configOf } from "../golden/render-cases.ts";
import { freePort, until } from "./redis-server.ts";

/** How long a cluster may take to be well again on a busy machine. */
export const HEALED_WITHIN_MS = 45_000;

export class FaultCluster {
  readonly folder: string;
  readonly config: ClusterConfig;
  readonly #paused = new Set<string>();
  readonly #register: ReturnType<typeof openAcceptors>;

  private constructor(folder: string, config: ClusterConfig) {
    this.folder = folder;
    this.config = config;
    const ports = { config, password: undefined, clock: systemClock, openLink: openRedisLink };
    this.#register = openAcceptors(ports);
  }

  /** Writes `conf` with every {NAME} replaced by a free port, under a new folder. Nothing is started. */
  static async create(conf: string): Promise<FaultCluster> {
    const folder = await mkdtemp(join(tmpdir(), "twine-faults-"));
    const ports = new Map<string, number>();
    for (const [, name = ""] of conf.matchAll(/\{([A-Za-z0-9]+)\}/g)) {
      if (!ports.has(name)) ports.set(name, await freePort());
    }
    const file = join(folder, "twine.conf");
    const text = conf.replace(/\{([A-Za-z0-9]+)\}/g, (_, name: string) => String(ports.get(name)));
    await writeFile(file, text);
    return new FaultCluster(folder, configOf(text, file));
  }

  #request(nodes?: readonly string[]): LocalRequest {
    return { config: this.config, home: twineHome(), progress: silentProgress, nodes };
  }

  /** Sets up and starts everything; returns when the state is OK. */
  async start(): Promise<void> {
    await setup(this.#request());
    await start(this.#request());
    await this.viewWhere("OK", ({ state }) => state === "OK");
  }

  port(name: string): number {
    const node = this.config.nodes.find((candidate) => candidate.name === name);
    if (node === undefined) throw new Error(`twine.conf has no ${name}`);
    return node.port;
  }

  /** Its folder, in which its pid file, log and data lie. */
  path(name: string, ...parts: string[]): string {
    return join(this.folder, "partitions/localhost", name, ...parts);
  }

  async isRunning(name: string): Promise<boolean> {
    return (await runningProcess(this.path(name, "pid"))) !== undefined;
  }

  async pid(name: string): Promise<number> {
    const found = await runningProcess(this.path(name, "pid"));
    if (found === undefined) throw new Error(`${name} does not run`);
    return found.pid;
  }

  /**
   * kill -9; gone when this resolves. Gone means that the kernel has forgotten the process: while its last threads end it
   * is a zombie that still holds its port.
   */
  async kill(...names: string[]): Promise<void> {
    const pids = await Promise.all(names.map((name) => this.pid(name)));
    for (const pid of pids) process.kill(pid, "SIGKILL");
    for (const name of names) this.#paused.delete(name);
    for (const pid of pids) {
      await until(`process ${pid} is gone`, () => !isKnown(pid));
    }
  }

  async pause(...names: string[]): Promise<void> {
    for (const name of names) {
      this.#paused.add(name);
      process.kill(await this.pid(name), "SIGSTOP");
    }
  }

  async resume(...names: string[]): Promise<void> {
    for (const name of names) {
      this.#paused.delete(name);
      process.kill(await this.pid(name), "SIGCONT");
    }
  }

  /** Starts a killed redis-server again at once, as a supervisor would, without a check or a wait. */
  async launch(name: string): Promise<void> {
    const log = openSync(this.path(name, "redis.log"), "a");
    const options = { cwd: this.path(name), detached: true, stdio: ["ignore", log, log] } as const;
    const child = spawn("redis-server", ["redis.conf"], { ...options, stdio: [...options.stdio] });
    closeSync(log);
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", reject);
    });
    child.unref();
    await writePidFile(this.path(name, "pid"), child.pid ?? 0);
  }

  /** The data of a killed node is gone, as after its disk was replaced; its folder with the cluster's stamp stays. */
  async emptyData(name: string): Promise<void> {
    for (const entry of await readdir(this.path(name, "data"))) {
      if (entry === "twine-stamp") continue;
      await rm(this.path(name, "data", entry), { recursive: true, force: true });
    }
  }

  /** What is paused goes on, what was killed is started again by twine-start's own code. */
  async heal(): Promise<void> {
    await this.resume(...this.#paused);
    await start(this.#request());
  }

  /** The newest chosen view; null when no majority of the status nodes answers. */
  async view(): Promise<View | null> {
    const { value } = await readRegister(this.#register.acceptors);
    return value === null || value.body === null ? null : (JSON.parse(value.body) as View);
  }

  /** Waits for a view that fits; a failure shows the last one. */
  async viewWhere(
    what: string,
    fits: (view: View) => boolean,
    withinMs = HEALED_WITHIN_MS,
  ): Promise<View> {
    let seen: View | null = null;
    let found: View | undefined;
    const look = async (): Promise<boolean> => {
      seen = await this.view();
      if (seen !== null && fits(seen)) found = seen;
      return found !== undefined;
    };
    await until(what, look, withinMs).catch(async (error: unknown) => {
      throw new Error(`${String(error)}\n${await this.#story(seen)}`, { cause: error });
    });
    if (found === undefined) throw new Error("there is no view");
    return found;
  }

  /** For whoever reads a failure: the roles, what the alpha did last, and the last words of what does not run. */
  async #story(view: View | null): Promise<string> {
    if (view === null) return "there is no view";
    const roles = view.nodes.map(({ name, role, inSync }) => `${name} ${role}${inSync ? "" : "?"}`);
    const events = (await this.log(view.alpha)).slice(-40).map((line) => JSON.stringify(line));
    const silent = await Promise.all(
      view.nodes
        .filter(({ kind, role }) => role === "dead" && (kind === "data" || kind === "status"))
        .map(async ({ name }) => {
          const text = await readFile(this.path(name, "redis.log"), "utf8").catch(String);
          return [`${name} runs: ${await this.isRunning(name)}`, ...text.split("\n").slice(-15)];
        }),
    );
    const head = `epoch ${view.epoch}, revision ${view.revision}, ${view.state}: ${roles.join(", ")}`;
    return [head, JSON.stringify(view.partitions), ...events, ...silent.flat()].join("\n");
  }

  async partition(index: number): Promise<PartitionView> {
    const partition = (await this.view())?.partitions[index];
    if (partition === undefined) throw new Error(`the view has no partition ${index}`);
    return partition;
  }

  /** One command on a connection of its own. */
  async ask(name: string, command: string, ...args: string[]): Promise<RedisReply> {
    const link = await openRedisLink(
      { host: "127.0.0.1", port: this.port(name) },
      { connectTimeoutMs: 2000, commandTimeoutMs: 15_000 },
    );
    try {
      return await link.call(command, ...args);
    } finally {
      link.close();
    }
  }

  /** What a monitor or router has logged, line by line. */
  async log(name: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const text = await readFile(this.path(name, "log"), "utf8").catch(() => "");
    return text.split("\n").flatMap((line) => {
      if (!line.startsWith("{")) return [];
      return [JSON.parse(line) as Record<string, unknown>];
    });
  }

  /** Ends every process by its pid file, and removes the folder. */
  async remove(): Promise<void> {
    this.#register.close();
    const names = await readdir(join(this.folder, "partitions/localhost")).catch(() => []);
    for (const name of names) {
      const found = await runningProcess(this.path(name, "pid")).catch(() => undefined);
      if (found !== undefined) process.kill(found.pid, "SIGKILL");
    }
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }
}

function isKnown(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
