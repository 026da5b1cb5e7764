// reshard-cluster.ts: a cluster by Twine's own local applier, the new nodes of a NEW.conf beside it, and twine-reshard.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setup, start } from "../../infra/local/commands.ts";
import { silentProgress } from "../../infra/local/progress.ts";
import { binPath, twineHome } from "./bins.ts";
import { nodesOf, type ClusterConfig } from "../../runtime/core/cluster.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { configOf } from "../golden/render-cases.ts";
import { clusterConf } from "./cluster-conf.ts";
import { FaultCluster } from "./fault-cluster.ts";
import { freePort } from "./port-claims.ts";

export interface Layout {
  readonly partitions: number;
  /** Lines such as "hash crc16". */
  readonly lines: readonly string[];
}

export interface RunningReshard {
  readonly child: ChildProcess;
  /** Standard error so far. */
  readonly lines: () => string;
  readonly ended: Promise<{ readonly code: number | null; readonly out: string }>;
}

export class ReshardCluster {
  readonly old: FaultCluster;
  readonly config: ClusterConfig;
  readonly newConf: string;

  private constructor(old: FaultCluster, config: ClusterConfig, newConf: string) {
    this.old = old;
    this.config = config;
    this.newConf = newConf;
  }

  /** Everything runs, the new nodes too; `lines` are in both files. */
  static async start(
    from: Layout,
    to: Layout,
    lines: readonly string[] = [],
  ): Promise<ReshardCluster> {
    const shape = { nodesPerPartition: 2, statusNodes: 3, monitors: 3, routers: 1 };
    const old = await FaultCluster.create(
      clusterConf({
        ...shape,
        partitions: from.partitions,
        ownDatabases: true,
        lines: [...lines, ...from.lines],
      }),
    );
    try {
      await old.start();
      const newConf = join(old.folder, "NEW.conf");
      const text = await newConfText(old, to, lines);
      await writeFile(newConf, text);
      const cluster = new ReshardCluster(old, configOf(text, newConf), newConf);
      await setup(cluster.#request());
      await cluster.startNew();
      return cluster;
    } catch (error) {
      await old.remove();
      throw error;
    }
  }

  /** Starts every new node that does not run. */
  async startNew(): Promise<void> {
    await start(this.#request());
  }

  #request() {
    return { config: this.config, home: twineHome(), progress: silentProgress };
  }

  port(name: string): number {
    const node = this.config.nodes.find((one) => one.name === name);
    return node?.port ?? this.old.port(name);
  }

  reshard(...more: readonly string[]): RunningReshard {
    const way = more.includes("--way-back") || more.includes("--back") ? [] : ["--way-back", "0s"];
    const command = [binPath("twine-reshard", "runtime"), this.newConf, ...way, ...more];
    const child = spawn(process.execPath, command, { stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    let lines = "";
    child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (lines += chunk.toString()));
    const ended = once(child, "close").then(() => ({ code: child.exitCode, out }));
    return { child, lines: () => lines, ended };
  }

  /** By present partition. */
  async keysOfPartitions(): Promise<string[][]> {
    const view = await this.old.view();
    const keys: string[][] = [];
    for (const { master } of view?.partitions ?? []) {
      const nodes = [...nodesOf(this.config, "data"), ...nodesOf(this.old.config, "data")];
      const node = nodes.find(({ name }) => name === master);
      if (node === undefined) throw new Error(`${String(master)} is no node`);
      const link = await openRedisLink(
        { host: "127.0.0.1", port: node.port },
        { connectTimeoutMs: 5000, commandTimeoutMs: 15_000 },
      );
      await link.call("SELECT", String(node.db));
      keys.push((await link.call("KEYS", "*")) as string[]);
      link.close();
    }
    return keys;
  }

  async remove(): Promise<void> {
    await this.old.remove();
  }
}

async function newConfText(
  old: FaultCluster,
  to: Layout,
  lines: readonly string[],
): Promise<string> {
  const others = old.config.nodes.filter(({ kind }) => kind !== "data").map(lineOf);
  const data: string[] = [];
  for (let index = 0; index < to.partitions * 2; index++) {
    const name = `n${Math.floor(index / 2)}-${(index % 2) + 1}`;
    data.push(`${name}=data ${Math.floor(index / 2)} localhost ${await freePort()} 0`);
  }
  return [...data, ...others, ...lines, ...to.lines, ""].join("\n");
}

function lineOf(node: ClusterConfig["nodes"][number]): string {
  const { name, kind, host, port } = node;
  return `${name}=${kind} ${host} ${port}${node.kind === "status" ? ` ${node.db}` : ""}`;
}
