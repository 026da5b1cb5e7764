// fault-cluster.ts: a whole cluster of real processes, set up and started by Twine's own local applier from the sources,
// to whose processes a test (or a bench) does what faults do: kill -9, pause, start again, with its data or without.
//
//   create -> start -> { kill | pause | launch | emptyData | heal } ... -> remove
import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { readFile, readdir, rm } from "node:fs/promises";
import { setup, start, stop } from "../../infra/local/commands.ts";
import type { LocalRequest } from "../../infra/local/context.ts";
import { writePidFile } from "../../infra/local/files/pid-file.ts";
import { silentProgress } from "../../infra/local/progress.ts";
import { twineHome } from "./bins.ts";
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import type { PartitionView, View } from "../../runtime/core/view.ts";
import { openRedisLink, type RedisReply } from "../../runtime/ports/redis-link.ts";
import { ClusterFolder } from "./cluster-folder.ts";
import { until } from "./redis-server.ts";
import { HEALED_WITHIN_MS, RegisterView } from "./register-view.ts";

/** Every line of a log has these; a timeline shows some of them in another form. */
const COMMON_FIELDS = ["time", "name", "msg", "level", "pid", "hostname"];

export class FaultCluster {
  readonly folder: string;
  readonly config: ClusterConfig;
  readonly #cluster: ClusterFolder;
  readonly #paused = new Set<string>();
  readonly #register: RegisterView;

  private constructor(cluster: ClusterFolder) {
    this.#cluster = cluster;
    this.folder = cluster.folder;
    this.config = cluster.config;
    this.#register = new RegisterView(this.config);
  }

  /** `conf` as ClusterFolder takes it. Nothing is started. */
  static async create(conf: string): Promise<FaultCluster> {
    return new FaultCluster(await ClusterFolder.create(conf));
  }

  #request(nodes?: readonly string[]): LocalRequest {
    return { config: this.config, home: twineHome(), progress: silentProgress, nodes };
  }

  /** Sets up and starts everything; returns when the state is OK. */
  async start(): Promise<void> {
    await setup(this.#request());
    await start(this.#request());
    const isOk = ({ state }: View): boolean => state === "OK";
    await this.viewWhere("OK", isOk);
    // After a restart that may be the view from before: no node is a master until an alpha has made it one.
    await until("every master of the view is one", () => this.#serves(), HEALED_WITHIN_MS);
    await this.viewWhere("OK", isOk);
  }

  async #serves(): Promise<boolean> {
    const view = await this.view();
    const masters = view?.partitions.map(({ master }) => master) ?? [];
    const roles = await Promise.all(
      masters.map(async (name): Promise<unknown> => {
        const reply = name === null ? null : await this.ask(name, "ROLE").catch(() => null);
        const [role] = Array.isArray(reply) ? (reply as readonly unknown[]) : [];
        return role;
      }),
    );
    return roles.length > 0 && roles.every((role) => role === "master");
  }

  /** Stops everything by twine-stop's own code; start() brings the same data back. */
  async stop(): Promise<void> {
    await stop(this.#request());
  }

  port(name: string): number {
    const node = this.config.nodes.find((candidate) => candidate.name === name);
    if (node === undefined) throw new Error(`twine.conf has no ${name}`);
    return node.port;
  }

  /** A node's folder, in which its pid file, log and data lie, or a file in it. */
  path(name: string, ...parts: string[]): string {
    return this.#cluster.path(name, ...parts);
  }

  isRunning(name: string): Promise<boolean> {
    return this.#cluster.isRunning(name);
  }

  /** Throws when it does not run. */
  pid(name: string): Promise<number> {
    return this.#cluster.pid(name);
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
  view(): Promise<View | null> {
    return this.#register.read();
  }

  /** Waits for a view that fits; a failure shows the last one. */
  viewWhere(what: string, fits: (view: View) => boolean, withinMs?: number): Promise<View> {
    return this.#register.where(what, fits, (view) => this.#story(view), withinMs);
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

  /** Events of all monitors and routers since then, as "+MS NAME WHAT FIELDS"; the machine's clock is theirs, too. */
  async timeline(since: Date): Promise<string[]> {
    const sinceMs = since.getTime();
    const writers = this.config.nodes.filter(({ kind }) => kind === "monitor" || kind === "router");
    const logs = await Promise.all(writers.map(({ name }) => this.log(name)));
    return logs
      .flat()
      .filter(({ time }) => Number(time) >= sinceMs)
      .toSorted((a, b) => Number(a["time"]) - Number(b["time"]))
      .map((line) => {
        const fields = Object.entries(line).filter(([field]) => !COMMON_FIELDS.includes(field));
        const more = JSON.stringify(Object.fromEntries(fields));
        return `+${Number(line["time"]) - sinceMs} ${String(line["name"])} ${String(line["msg"])} ${more}`;
      });
  }

  /** Ends every process by its pid file, and removes the folder. */
  async remove(): Promise<void> {
    this.#register.close();
    await this.#cluster.end();
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
