// published-cluster.ts: real redis-servers as masters and replicas, and a real status node on which the test itself
// publishes the view, in a monitor's place.
import { onTestFinished } from "vitest";
import { builtinHashing, type Hashing } from "../../runtime/core/hashing.ts";
import type { View } from "../../runtime/core/view.ts";
import type { Proposer } from "../../runtime/register/register.ts";
import { clusterConf } from "./cluster-conf.ts";
import { ClusterFolder } from "./cluster-folder.ts";
import type { TestRedis } from "./redis-server.ts";
import { shownDataNode, shownView } from "./shown-view.ts";
import { statusNodesOf, type StatusNodes } from "./status-nodes.ts";

export interface PublishedOptions {
  readonly partitions?: number;
  /** Redis-servers of each partition; the first is the master, the others follow it. */
  readonly nodes?: number;
  /** Lines of twine.conf. */
  readonly settings?: readonly string[];
}

export class PublishedCluster {
  readonly folder: string;
  readonly conf: string;
  readonly confFile: string;
  /** By partition. */
  readonly servers: readonly (readonly TestRedis[])[];
  readonly status: StatusNodes;
  readonly #proposer: Proposer;
  readonly #hashing: Hashing;
  #revision = 0;

  private constructor(parts: {
    readonly folder: ClusterFolder;
    readonly servers: readonly (readonly TestRedis[])[];
    readonly status: StatusNodes;
  }) {
    this.folder = parts.folder.folder;
    this.conf = parts.folder.text;
    this.confFile = parts.folder.file;
    this.servers = parts.servers;
    this.status = parts.status;
    this.#proposer = parts.status.proposer("m1");
    this.#hashing = builtinHashing(parts.folder.config.settings);
  }

  /** Nodes are named pP-N from p0-1 on; database P is partition P's, to see that it is chosen. */
  static async start(options: PublishedOptions = {}): Promise<PublishedCluster> {
    const { partitions = 2, nodes = 1, settings = [] } = options;
    const shape = { partitions, nodesPerPartition: nodes, ownDatabases: true };
    const folder = await ClusterFolder.create(
      clusterConf({ ...shape, lines: ["lease 2s", "down-after 2s", ...settings] }),
    );
    onTestFinished(() => folder.end());
    const started = await folder.startServers({ data: "following" });
    const status = statusNodesOf(namedServers(started, "s"), { cluster: "twine", leaseMs: 2000 });
    const servers = Array.from({ length: partitions }, (_, partition) =>
      namedServers(started, `p${partition}-`),
    );
    const cluster = new PublishedCluster({ folder, servers, status });
    const prepared = await cluster.#proposer.prepare();
    if (prepared.kind !== "prepared") throw new Error(JSON.stringify(prepared));
    await cluster.show(servers.map(() => 1));
    return cluster;
  }

  server(partition: number, number: number): TestRedis {
    const server = this.servers[partition]?.[number - 1];
    if (server === undefined) throw new Error(`there is no node p${partition}-${number}`);
    return server;
  }

  /** Publishes a view: by partition the number of its master, or null. `more` overrides what the view says. */
  async show(masters: readonly (number | null)[], more: Partial<View> = {}): Promise<void> {
    const revision = ++this.#revision;
    const nodes = this.servers.flatMap((ofPartition, partition) =>
      ofPartition.map(({ port }, index) =>
        shownDataNode(`p${partition}-${index + 1}`, port, partition),
      ),
    );
    const names = masters.map((number, partition) =>
      number === null ? null : `p${partition}-${number}`,
    );
    const shown = shownView({ nodes, masters: names, revision });
    const view: View = { ...shown, hashing: this.#hashing, ...more };
    const body = JSON.stringify(view);
    const written = await this.#proposer.write({ body, epoch: view.epoch, revision });
    if (written.kind !== "chosen") throw new Error(JSON.stringify(written));
  }
}

function namedServers(started: ReadonlyMap<string, TestRedis>, prefix: string): TestRedis[] {
  return [...started].filter(([name]) => name.startsWith(prefix)).map(([, server]) => server);
}
