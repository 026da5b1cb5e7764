// cluster-folder.ts: the one launcher of test clusters. A cluster begins as a twine.conf with free ports in a folder of its
// own. Then its processes are started in one of two ways:
//
//   startServers()   redis-servers of the test itself (redis-server.ts), for tests that play the monitor or start some
//                    processes only: router-cluster, published-cluster, monitored-cluster, hand-led-sentinels
//   Twine itself     by the local applier: from the sources (fault-cluster, local-folder) or by the compiled bins
//                    (local-cluster); end() kills all by their pid files
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { runningProcess } from "../../infra/local/files/pid-file.ts";
import type { ClusterConfig, DataNode } from "../../runtime/core/cluster.ts";
import { configOf } from "../golden/render-cases.ts";
import type { CleanUp } from "./clean-up.ts";
import { DURABLE } from "./durable.ts";
import { freePort } from "./port-claims.ts";
import { startRedis, type TestRedis } from "./redis-server.ts";

/** As the plan renders a data node: it serves nothing until a monitor gives it its role. */
const DEAD = ["replicaof 127.0.0.1 1", "replica-serve-stale-data no"];

/** A master waits five seconds for more replicas before it syncs the first, unless told otherwise. */
const SYNC_AT_ONCE = "repl-diskless-sync-delay 0";

export interface ServersOptions {
  /** dead: until a monitor promotes it. following: the first of each partition is its master. */
  readonly data: "dead" | "following";
  /** Lines of redis.conf for the data nodes. */
  readonly redis?: readonly string[] | undefined;
  readonly cleanUp?: CleanUp;
}

export class ClusterFolder {
  readonly folder: string;
  /** Of twine.conf. */
  readonly file: string;
  readonly #ports: ReadonlyMap<string, number>;
  #text: string;

  private constructor(folder: string, text: string, ports: ReadonlyMap<string, number>) {
    this.folder = folder;
    this.file = join(folder, "twine.conf");
    this.#text = text;
    this.#ports = ports;
  }

  /** Writes `conf` with every {NAME} replaced by a free port. Nothing is started. */
  static async create(conf: string): Promise<ClusterFolder> {
    const ports = new Map<string, number>();
    for (const [, name = ""] of conf.matchAll(/\{([A-Za-z0-9-]+)\}/g)) {
      if (!ports.has(name)) ports.set(name, await freePort());
    }
    const text = conf.replace(/\{([A-Za-z0-9-]+)\}/g, (_, name: string) => String(ports.get(name)));
    const cluster = new ClusterFolder(await mkdtemp(join(tmpdir(), "twine-test-")), text, ports);
    await writeFile(cluster.file, text);
    return cluster;
  }

  get text(): string {
    return this.#text;
  }

  /** As it is written in twine.conf now, with what the plan adds. */
  get config(): ClusterConfig {
    return configOf(this.#text, this.file);
  }

  async rewrite(text: string): Promise<void> {
    this.#text = text;
    await writeFile(this.file, text);
  }

  /** Of {NAME} in the conf. */
  port(name: string): number {
    const port = this.#ports.get(name);
    if (port === undefined) throw new Error(`the conf has no {${name}}`);
    return port;
  }

  /** The folder of a node that the local applier set up, or a file in it. */
  path(node: string, ...parts: string[]): string {
    return join(this.folder, "partitions/localhost", node, ...parts);
  }

  /** Throws when it does not run. */
  async pid(node: string): Promise<number> {
    const found = await runningProcess(this.path(node, "pid"));
    if (found === undefined) throw new Error(`${node} does not run`);
    return found.pid;
  }

  async isRunning(node: string): Promise<boolean> {
    const found = await runningProcess(this.path(node, "pid")).catch(() => undefined);
    return found !== undefined;
  }

  /** Starts a redis-server for every data and status node, in the order of twine.conf; by their names. */
  async startServers(options: ServersOptions): Promise<ReadonlyMap<string, TestRedis>> {
    const servers = new Map<string, TestRedis>();
    for (const node of this.config.nodes) {
      if (node.kind === "status") {
        servers.set(node.name, await startRedis(DURABLE, options.cleanUp, node.port));
      } else if (node.kind === "data") {
        servers.set(node.name, await this.startDataServer(node, options));
      }
    }
    return servers;
  }

  startDataServer(
    { partition, port }: Pick<DataNode, "partition" | "port">,
    { data, redis = [], cleanUp }: ServersOptions,
  ): Promise<TestRedis> {
    const nodes = this.config.nodes.filter((node) => node.kind === "data");
    const master = nodes.find((node) => node.partition === partition)?.port ?? port;
    const follow = master === port ? [] : [`replicaof 127.0.0.1 ${master}`];
    const settings = [...(data === "dead" ? DEAD : follow), SYNC_AT_ONCE, ...redis];
    return startRedis(settings, cleanUp, port);
  }

  /** Kills by its pid file whatever the local applier started, and removes the folder. */
  async end(): Promise<void> {
    const partitions = join(this.folder, "partitions");
    const files = await readdir(partitions, { recursive: true }).catch(() => []);
    for (const file of files.filter((name) => basename(name) === "pid")) {
      const found = await runningProcess(join(partitions, file)).catch(() => undefined);
      if (found !== undefined) process.kill(found.pid, "SIGKILL");
    }
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }

  async read(node: string, ...parts: string[]): Promise<string> {
    return readFile(this.path(node, ...parts), "utf8");
  }
}
