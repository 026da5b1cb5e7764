// monitored-cluster.ts: a cluster of real redis-servers under real twined processes, for integration tests.
// Three status nodes, three monitors, and data nodes that are dead until promoted, as Twine's own plan renders them.
import { onTestFinished } from "vitest";
import { confDigest } from "../../runtime/core/conf/digest.ts";
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import type { View } from "../../runtime/core/view.ts";
import { clusterConf } from "./cluster-conf.ts";
import { ClusterFolder, type ServersOptions } from "./cluster-folder.ts";
import { freePort } from "./port-claims.ts";
import type { TestRedis } from "./redis-server.ts";
import { RegisterView } from "./register-view.ts";
import { runTool, type ToolRan } from "./run-tool.ts";
import { TwineProcess } from "./twine-process.ts";

export interface ClusterShape {
  readonly partitions: number;
  readonly nodesPerPartition: number;
  /** redis.conf lines of the data nodes, e.g. "appendonly yes". */
  readonly dataSettings: readonly string[];
}

export class MonitoredCluster {
  readonly nodes: Map<string, TestRedis>;
  readonly #folder: ClusterFolder;
  readonly #servers: ServersOptions;
  readonly #monitors = new Map<string, TwineProcess>();
  readonly #register: RegisterView;

  private constructor(
    folder: ClusterFolder,
    servers: ServersOptions,
    nodes: ReadonlyMap<string, TestRedis>,
  ) {
    this.#folder = folder;
    this.#servers = servers;
    this.nodes = new Map(nodes);
    this.#register = new RegisterView(folder.config);
    onTestFinished(async () => {
      this.#register.close();
      this.signalMonitors("SIGCONT");
      await this.stopMonitors();
      await folder.end();
    });
  }

  /** Data nodes are named pP-N, from p0-1 on. The monitors are not started. */
  static async create({ dataSettings, ...shape }: ClusterShape): Promise<MonitoredCluster> {
    const nodes = { ...shape, statusNodes: 3, monitors: 3 };
    const folder = await ClusterFolder.create(clusterConf({ ...nodes, lines: ["cluster test"] }));
    const servers = { data: "dead", redis: dataSettings } as const;
    return new MonitoredCluster(folder, servers, await folder.startServers(servers));
  }

  get folder(): string {
    return this.#folder.folder;
  }

  get confFile(): string {
    return this.#folder.file;
  }

  get conf(): string {
    return this.#folder.text;
  }

  get config(): ClusterConfig {
    return this.#folder.config;
  }

  get digest(): string {
    return confDigest(this.config);
  }

  /** Starts a data node that twine.conf does not name yet; answers its line. */
  async addDataNode(name: string, partition: number): Promise<string> {
    const port = await freePort();
    this.nodes.set(name, await this.#folder.startDataServer({ partition, port }, this.#servers));
    return `${name}=data ${partition} localhost ${port} 0`;
  }

  writeConf(text: string): Promise<void> {
    return this.#folder.rewrite(text);
  }

  node(name: string): TestRedis {
    const server = this.nodes.get(name);
    if (server === undefined) throw new Error(`there is no node ${name}`);
    return server;
  }

  startMonitors(...names: string[]): void {
    for (const name of names.length === 0 ? ["m1", "m2", "m3"] : names) {
      const before = this.#monitors.get(name)?.log ?? "";
      const started = new TwineProcess("twined", name, this.confFile);
      started.log = before;
      this.#monitors.set(name, started);
    }
  }

  async stopMonitors(...names: string[]): Promise<void> {
    await Promise.all(
      (names.length === 0 ? [...this.#monitors.keys()] : names).map((name) =>
        this.endMonitor(name, "SIGTERM"),
      ),
    );
  }

  signalMonitors(signal: NodeJS.Signals): void {
    for (const monitor of this.#monitors.values()) monitor.signal(signal);
  }

  signalMonitor(name: string, signal: NodeJS.Signals): void {
    this.#monitors.get(name)?.signal(signal);
  }

  /** Answers the exit code, null after a kill and for a monitor that was never started. */
  async endMonitor(name: string, signal: NodeJS.Signals): Promise<number | null> {
    return (await this.#monitors.get(name)?.end(signal)) ?? null;
  }

  /** Of all its runs. */
  monitorLog(name: string): string {
    const monitor = this.#monitors.get(name);
    return monitor === undefined ? "" : monitor.log + monitor.errors;
  }

  fetch(monitor: string, path: string, method = "GET"): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.#folder.port(monitor)}${path}`, { method });
  }

  /** The newest chosen view. */
  view(): Promise<View | null> {
    return this.#register.read();
  }

  /** Waits for a view that fits; a failure shows the last view. */
  viewWhere(what: string, fits: (view: View) => boolean): Promise<View> {
    return this.#register.where(what, fits);
  }

  /** Runs a Twine tool to its end. */
  run(bin: string, ...args: string[]): Promise<ToolRan> {
    return runTool("runtime", bin, this.confFile, ...args);
  }
}

export function partitionOf(view: View, index: number): View["partitions"][number] {
  const partition = view.partitions[index];
  if (partition === undefined) throw new Error(`the view has no partition ${index}`);
  return partition;
}
