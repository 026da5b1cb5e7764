// published-cluster.ts: real redis-servers as masters and replicas, and a real status node on which the test itself
// publishes the view, in a monitor's place.
import { writeFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { parseConf } from "../../runtime/core/conf/parse.ts";
import { hashingOf } from "../../runtime/core/hashing.ts";
import { stateOf, type NodeView, type View } from "../../runtime/core/view.ts";
import type { Proposer } from "../../runtime/register/register.ts";
import { startRedis, type TestRedis } from "./redis-server.ts";
import { startStatusNodes, type StatusNodes } from "./status-nodes.ts";

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
  readonly #hashing: string;
  #revision = 0;

  private constructor(parts: {
    readonly folder: string;
    readonly conf: string;
    readonly servers: readonly (readonly TestRedis[])[];
    readonly status: StatusNodes;
  }) {
    this.folder = parts.folder;
    this.conf = parts.conf;
    this.confFile = join(parts.folder, "twine.conf");
    this.servers = parts.servers;
    this.status = parts.status;
    this.#proposer = parts.status.proposer("m1");
    const { config, errors } = parseConf(parts.conf, this.confFile);
    if (config === undefined) throw new Error(JSON.stringify(errors));
    this.#hashing = hashingOf(config);
  }

  /** Nodes are named pP-N from p0-1 on; database P is partition P's, to see that it is chosen. */
  static async start(options: PublishedOptions = {}): Promise<PublishedCluster> {
    const { partitions = 2, nodes = 1, settings = [] } = options;
    const folder = await mkdtemp(join(tmpdir(), "twine-published-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const status = await startStatusNodes(1);
    const servers: TestRedis[][] = [];
    const lines: string[] = [`s1=status localhost ${status.servers[0]?.port ?? 0} 0`];
    for (let partition = 0; partition < partitions; partition++) {
      const ofPartition: TestRedis[] = [];
      for (let number = 1; number <= nodes; number++) {
        const [master] = ofPartition;
        const follow = master === undefined ? [] : [`replicaof 127.0.0.1 ${master.port}`];
        const server = await startRedis(["repl-diskless-sync-delay 0", ...follow]);
        ofPartition.push(server);
        lines.push(
          `p${partition}-${number}=data ${partition} localhost ${server.port} ${partition}`,
        );
      }
      servers.push(ofPartition);
    }
    const conf = `${[...lines, "m1=monitor localhost 1", "lease 2s", "down-after 2s", ...settings].join("\n")}\n`;
    await writeFile(join(folder, "twine.conf"), conf);
    const cluster = new PublishedCluster({ folder, conf, servers, status });
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
      ofPartition.map((server, index): NodeView => {
        const role = masters[partition] === index + 1 ? "master" : "replica";
        const name = `p${partition}-${index + 1}`;
        return {
          ...{ name, kind: "data", host: "localhost", port: server.port, db: partition },
          ...{ partition, role, inSync: true, runId: null, since: `revision ${revision}` },
        };
      }),
    );
    const partitions = masters.map((master, index) => ({
      index,
      master: master === null ? null : `p${index}-${master}`,
      replicas: nodes.flatMap(({ name, role, partition }) =>
        role === "replica" && partition === index ? [name] : [],
      ),
      ...{ dead: [], replicationId: null, lastMaster: null, needs: null },
    }));
    const view: View = {
      ...{ cluster: "twine", state: stateOf({ partitions, nodes }), epoch: 1, revision },
      ...{ alpha: "m1", updatedAt: "", confDigest: "", hashing: this.#hashing },
      ...{ partitions, nodes },
      ...more,
    };
    const body = JSON.stringify(view);
    const written = await this.#proposer.write({ body, epoch: view.epoch, revision });
    if (written.kind !== "chosen") throw new Error(JSON.stringify(written));
  }
}
