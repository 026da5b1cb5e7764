// monitored-cluster.ts: a cluster of real redis-servers under real twined processes, for integration tests.
// Three status nodes, three monitors, and data nodes that are dead until promoted, as Twine's own plan renders them.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { openSync, closeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { binPath } from "../../runtime/cli/package-root.ts";
import { confDigest } from "../../runtime/core/conf/digest.ts";
import { parseConf } from "../../runtime/core/conf/parse.ts";
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import type { View } from "../../runtime/core/view.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { openAcceptors } from "../../runtime/register/acceptors.ts";
import { readRegister } from "../../runtime/register/read.ts";
import type { Acceptor } from "../../runtime/register/register.ts";
import { freePort, startRedis, until, type TestRedis } from "./redis-server.ts";

const DEAD = ["replicaof 127.0.0.1 1", "replica-serve-stale-data no", "repl-diskless-sync-delay 0"];
const DURABLE = ["appendonly yes", "appendfsync always"];

/** How long a cluster may take on a very busy machine. */
const PATIENT_MS = 60_000;

export interface ClusterShape {
  readonly partitions: number;
  readonly nodesPerPartition: number;
  /** redis.conf lines of the data nodes, e.g. "appendonly yes". */
  readonly dataSettings: readonly string[];
}

export class MonitoredCluster {
  readonly folder: string;
  readonly confFile: string;
  readonly nodes = new Map<string, TestRedis>();
  readonly #monitors = new Map<string, ChildProcess>();
  readonly #dataSettings: readonly string[];
  readonly #monitorPorts = new Map<string, number>();
  #acceptors: readonly Acceptor[] = [];
  #conf = "";

  private constructor(folder: string, dataSettings: readonly string[]) {
    this.folder = folder;
    this.confFile = join(folder, "twine.conf");
    this.#dataSettings = dataSettings;
  }

  /** Data nodes are named pP-N, from p0-1 on. The monitors are not started. */
  static async create(shape: ClusterShape): Promise<MonitoredCluster> {
    const folder = await mkdtemp(join(tmpdir(), "twine-monitored-"));
    const cluster = new MonitoredCluster(folder, shape.dataSettings);
    onTestFinished(async () => {
      cluster.signalMonitors("SIGCONT");
      await cluster.stopMonitors();
      await rm(folder, { recursive: true, force: true });
    });
    const lines = ["cluster test"];
    for (const number of [1, 2, 3]) {
      const status = await startRedis(DURABLE);
      cluster.nodes.set(`s${number}`, status);
      lines.push(`s${number}=status localhost ${status.port} 0`);
      const port = await freePort();
      cluster.#monitorPorts.set(`m${number}`, port);
      lines.push(`m${number}=monitor localhost ${port}`);
    }
    for (let partition = 0; partition < shape.partitions; partition++) {
      for (let number = 1; number <= shape.nodesPerPartition; number++) {
        lines.push(await cluster.addDataNode(`p${partition}-${number}`, partition));
      }
    }
    await cluster.writeConf(`${lines.join("\n")}\n`);
    cluster.#openRegister();
    return cluster;
  }

  /** Starts a data node; answers its line of twine.conf. */
  async addDataNode(name: string, partition: number): Promise<string> {
    const server = await startRedis([...DEAD, ...this.#dataSettings]);
    this.nodes.set(name, server);
    return `${name}=data ${partition} localhost ${server.port} 0`;
  }

  get conf(): string {
    return this.#conf;
  }

  async writeConf(text: string): Promise<void> {
    this.#conf = text;
    await writeFile(this.confFile, text);
  }

  get config(): ClusterConfig {
    const { config } = parseConf(this.#conf, this.confFile);
    if (config === undefined) throw new Error("the test's twine.conf is wrong");
    return config;
  }

  get digest(): string {
    return confDigest(this.config);
  }

  #openRegister(): void {
    const opened = openAcceptors({
      config: this.config,
      password: undefined,
      clock: systemClock,
      openLink: openRedisLink,
    });
    this.#acceptors = opened.acceptors;
    onTestFinished(() => {
      opened.close();
    });
  }

  node(name: string): TestRedis {
    const server = this.nodes.get(name);
    if (server === undefined) throw new Error(`there is no node ${name}`);
    return server;
  }

  startMonitors(...names: string[]): void {
    for (const name of names.length === 0 ? ["m1", "m2", "m3"] : names) {
      const log = openSync(join(this.folder, `${name}.log`), "a");
      const args = [binPath("twined", "runtime"), name, "--conf", this.confFile];
      this.#monitors.set(name, spawn(process.execPath, args, { stdio: ["ignore", log, log] }));
      closeSync(log);
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
    for (const child of this.#monitors.values()) child.kill(signal);
  }

  signalMonitor(name: string, signal: NodeJS.Signals): void {
    this.#monitors.get(name)?.kill(signal);
  }

  /** Answers the exit code, null after a kill. */
  async endMonitor(name: string, signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#monitors.get(name);
    this.#monitors.delete(name);
    if (child === undefined) return null;
    if (child.exitCode === null && child.signalCode === null) {
      const exit = new Promise((resolve) => child.once("exit", resolve));
      child.kill(signal);
      await exit;
    }
    return child.exitCode;
  }

  async monitorLog(name: string): Promise<string> {
    return readFile(join(this.folder, `${name}.log`), "utf8");
  }

  fetch(monitor: string, path: string, method = "GET"): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.#monitorPorts.get(monitor) ?? 0}${path}`, { method });
  }

  /** The newest chosen view. */
  async view(): Promise<View | null> {
    const { value } = await readRegister(this.#acceptors);
    return value === null || value.body === null ? null : (JSON.parse(value.body) as View);
  }

  /** Waits for a view that fits; a failure shows the last view. */
  async viewWhere(what: string, fits: (view: View) => boolean): Promise<View> {
    const seen: View[] = [];
    const look = async (): Promise<boolean> => {
      const view = await this.view();
      if (view === null) return false;
      seen[0] = view;
      return fits(view);
    };
    await until(what, look, PATIENT_MS).catch((error: unknown) => {
      const shown = JSON.stringify(seen[0], null, 1);
      throw new Error(`${String(error)}; the view is ${shown}`, { cause: error });
    });
    const [view] = seen;
    if (view === undefined) throw new Error("there is no view");
    return view;
  }

  /** Runs a Twine tool to its end. */
  async run(bin: string, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
    const child = spawn(process.execPath, [
      binPath(bin, "runtime"),
      ...args,
      "--conf",
      this.confFile,
    ]);
    let out = "";
    let err = "";
    child.stdout.on("data", (data: Buffer) => (out += data.toString()));
    child.stderr.on("data", (data: Buffer) => (err += data.toString()));
    const code = await new Promise<number>((resolve) =>
      child.once("close", (exit) => {
        resolve(exit ?? -1);
      }),
    );
    return { code, out, err };
  }
}

export function partitionOf(view: View, index: number): View["partitions"][number] {
  const partition = view.partitions[index];
  if (partition === undefined) throw new Error(`the view has no partition ${index}`);
  return partition;
}
