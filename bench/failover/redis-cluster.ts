// redis-cluster.ts: Redis Cluster of three masters with one replica each, made by redis-cli --cluster create. Only the
// node timeout differs from the defaults: it is the detection time.
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort } from "../../test/support/port-claims.ts";
import { until } from "../../test/support/redis-server.ts";
import { parseClusterNodes, masterOfSlot, type ClusterLine } from "./cluster-nodes.ts";
import type { Contender, Place, Roles } from "./contender.ts";
import { RedisProcess, askPort, hasReplicasInSync } from "./redis-process.ts";
import { redisLogSince } from "./redis-log.ts";

const run = promisify(execFile);

/** Tags whose slots lie in the first and in the last third: CLUSTER KEYSLOT b is 3300, c is 7365, a is 15495. */
const PLACE = { tag: "a", slot: 15_495 };
const ELSEWHERE = { tag: "b", slot: 3300 };

export class RedisClusterContender implements Contender {
  readonly name = "Redis Cluster";
  readonly #nodeTimeoutMs: number;
  readonly #dataSettings: readonly string[];
  #folder = "";
  #nodes: readonly RedisProcess[] = [];

  constructor(nodeTimeoutMs: number, dataSettings: readonly string[]) {
    this.#nodeTimeoutMs = nodeTimeoutMs;
    this.#dataSettings = dataSettings;
  }

  get place(): Place {
    return this.#placeOf(PLACE);
  }

  get elsewhere(): Place {
    return this.#placeOf(ELSEWHERE);
  }

  #placeOf({ tag, slot }: { tag: string; slot: number }): Place {
    return { tag, route: { by: "cluster", ports: this.#nodes.map(({ port }) => port), slot } };
  }

  async start(): Promise<void> {
    this.#folder = await mkdtemp(join(tmpdir(), "twine-bench-cluster-"));
    const nodes: RedisProcess[] = [];
    for (const number of [1, 2, 3, 4, 5, 6]) {
      const lines = [
        ...this.#dataSettings,
        "cluster-enabled yes",
        `cluster-port ${await freePort()}`,
        `cluster-node-timeout ${this.#nodeTimeoutMs}`,
      ];
      nodes.push(await RedisProcess.prepare(this.#folder, `d${number}`, await freePort(), lines));
    }
    this.#nodes = nodes;
    for (const process of nodes) await process.launch();
    for (const { port } of nodes) {
      await until(`${port} answers`, async () => {
        return (await askPort(port, "PING").catch(() => "")) === "PONG";
      });
    }
    const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`);
    const args = ["--cluster", "create", ...addresses, "--cluster-replicas", "1", "--cluster-yes"];
    await run("redis-cli", args, { timeout: 60_000 });
    await until("the cluster is well", () => this.isWell(), 60_000);
  }

  async isWell(): Promise<boolean> {
    const views = await Promise.all(
      this.#nodes.map(async ({ port }) => {
        const info = await textOf(port, "INFO").catch(() => "");
        const nodes = await textOf(port, "NODES").catch(() => "");
        return { isOk: info.includes("cluster_state:ok"), nodes: parseClusterNodes(nodes) };
      }),
    );
    const isWhole = (nodes: readonly ClusterLine[]): boolean =>
      nodes.length === 6 &&
      nodes.every(({ flags, isConnected }) => isConnected && !/fail|handshake/.test(String(flags)));
    if (!views.every(({ isOk, nodes }) => isOk && isWhole(nodes))) return false;
    const owners = views.map(({ nodes }) => ownersOf(nodes));
    if (!owners.every((owner) => owner === owners[0])) return false;
    const masters = (views[0]?.nodes ?? []).filter(({ slots }) => slots.length > 0);
    const inSync = await Promise.all(masters.map(({ port }) => hasReplicasInSync(port, 1)));
    return masters.length === 3 && inSync.every(Boolean);
  }

  async roles(): Promise<Roles> {
    const text = await this.#nodesText();
    const owner = masterOfSlot(text, PLACE.slot);
    const replicas = parseClusterNodes(text).filter(({ master }) => master === owner?.id);
    const master = this.#nodes.find(({ port }) => port === owner?.port);
    if (master === undefined) throw new Error("nobody owns the slot");
    return {
      master,
      replicas: this.#nodes.filter(({ port }) => replicas.some((line) => line.port === port)),
    };
  }

  async readPort(): Promise<number> {
    return (await this.roles()).master.port;
  }

  async empty(): Promise<void> {
    const lines = parseClusterNodes(await this.#nodesText());
    const masters = lines.filter(({ slots }) => slots.length > 0);
    await Promise.all(masters.map(({ port }) => askPort(port, "FLUSHALL")));
  }

  #nodesText(): Promise<string> {
    return textOf(this.#nodes[0]?.port ?? 0, "NODES");
  }

  /** An old master finds its slots taken and becomes a replica by itself. */
  mend(): Promise<void> {
    return Promise.resolve();
  }

  async timeline(killedAt: Date): Promise<readonly string[]> {
    const { master } = await this.roles();
    const log = this.#nodes.find(({ name }) => name === master.name);
    if (log === undefined) return [];
    return redisLogSince(await readFile(join(log.folder, "log"), "utf8"), killedAt);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#nodes.map((process) => process.kill()));
    if (this.#folder !== "") await rm(this.#folder, { recursive: true, force: true });
  }
}

async function textOf(port: number, what: "INFO" | "NODES"): Promise<string> {
  const text = await askPort(port, "CLUSTER", what);
  return typeof text === "string" ? text : "";
}

/** Who owns which slots, in words that compare. */
function ownersOf(nodes: readonly ClusterLine[]): string {
  return nodes
    .filter(({ slots }) => slots.length > 0)
    .map(({ port, slots }) => `${port}=${JSON.stringify(slots)}`)
    .sort()
    .join(" ");
}
