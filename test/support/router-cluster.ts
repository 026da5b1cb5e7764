// router-cluster.ts: a router over plain redis-servers, with a view that the test keeps by hand.
import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { onTestFinished } from "vitest";
import { parseConf } from "../../runtime/core/conf/parse.ts";
import type { View } from "../../runtime/core/view.ts";
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { loadPartitioner } from "../../runtime/ports/hash-source.ts";
import { silentLog, type Log } from "../../runtime/ports/log.ts";
import type { ViewSource } from "../../runtime/register/view-source.ts";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { ReplyScanner } from "../../runtime/resp/reply-scanner.ts";
import { startRouter } from "../../runtime/router/server.ts";
import type { CleanUp } from "./clean-up.ts";
import { clusterConf } from "./cluster-conf.ts";
import { ClusterFolder } from "./cluster-folder.ts";
import { freePort } from "./port-claims.ts";
import { until, type TestRedis } from "./redis-server.ts";
import { shownDataNode, shownView } from "./shown-view.ts";

/** A view source that says what the test tells it. */
export class HandKeptView implements ViewSource {
  #view: View | undefined;
  #isConfirmed = true;
  readonly #names: ReadonlyMap<number, string>;
  readonly #tasks = new Set<() => void>();

  /** The data nodes' names by port; without one a node is called nPORT. */
  constructor(names: ReadonlyMap<number, string> = new Map()) {
    this.#names = names;
  }

  current(): View | undefined {
    return this.#view;
  }

  isConfirmed(): boolean {
    return this.#isConfirmed;
  }

  onChange(task: () => void): () => void {
    this.#tasks.add(task);
    return () => this.#tasks.delete(task);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  confirm(isConfirmed: boolean): void {
    this.#isConfirmed = isConfirmed;
    for (const task of this.#tasks) task();
  }

  /** Masters by partition: the port of one of `nodes`, or null. */
  show(nodes: readonly { port: number; partition: number }[], masters: (number | null)[]): void {
    const revision = (this.#view?.revision ?? 0) + 1;
    const nameOf = (port: number): string => this.#names.get(port) ?? `n${port}`;
    const shown = nodes.map(({ port, partition }) => shownDataNode(nameOf(port), port, partition));
    const names = masters.map((port) => (port === null ? null : nameOf(port)));
    this.set({ ...shownView({ nodes: shown, masters: names, revision }), cluster: "test" });
  }

  /** A whole view at once. */
  set(view: View): void {
    this.#view = view;
    for (const task of this.#tasks) task();
  }
}

export interface RouterCluster {
  readonly port: number;
  readonly config: ClusterConfig;
  readonly servers: readonly TestRedis[];
  /** By partition; each follows its partition's server and is in sync. */
  readonly replicas: readonly (readonly TestRedis[])[];
  readonly view: HandKeptView;
  /** A raw connection to the router. */
  client(): Promise<RawClient>;
  /** The router takes other lines of twine.conf in place of the settings that it had; gives what has to wait. */
  reload(settings: readonly string[]): Promise<readonly string[]>;
  /** Ends the router alone; its clients see what a router's clients see. */
  drain(): Promise<void>;
  close(): Promise<void>;
}

export interface RouterClusterOptions {
  readonly partitions?: number;
  /** Replicas of each partition. */
  readonly replicas?: number;
  /** Lines of twine.conf. */
  readonly settings?: readonly string[];
  readonly redis?: readonly string[];
  readonly password?: string;
  readonly certificatesEveryMs?: number;
  /** The path of twine.conf, where the files that it names are looked for. */
  readonly file?: string;
  readonly log?: Log;
  readonly cleanUp?: CleanUp;
}

/** A router over `partitions` redis-servers; partition p's database is number p, to see that SELECT happens. */
export async function startRouterCluster(
  options: RouterClusterOptions = {},
): Promise<RouterCluster> {
  const { partitions = 3, settings = [], cleanUp = onTestFinished } = options;
  const { folder, servers, replicas } = await startNodes(partitions, options, cleanUp);
  const nodes = servers.flatMap((server, partition) =>
    [server, ...(replicas[partition] ?? [])].map(({ port }) => ({ port, partition })),
  );
  const configWith = (lines: readonly string[]): ClusterConfig =>
    parsed(`${folder.text}${lines.join("\n")}\n`, options.file ?? folder.file);
  const config = configWith(settings);
  const view = new HandKeptView(new Map(config.nodes.map(({ name, port }) => [port, name])));
  view.show(
    nodes,
    servers.map(({ port }) => port),
  );
  const port = await freePort();
  const partitioner = await loadPartitioner(config);
  const router = await startRouter({
    config,
    viewSource: view,
    partitioner,
    password: options.password,
    clock: systemClock,
    log: options.log ?? silentLog,
    listen: { host: "127.0.0.1", port },
    ...(options.certificatesEveryMs === undefined
      ? {}
      : { certificatesEveryMs: options.certificatesEveryMs }),
  });
  const sockets: Duplex[] = [];
  let isClosed = false;
  const close = async (): Promise<void> => {
    if (isClosed) return;
    isClosed = true;
    for (const socket of sockets) socket.destroy();
    await router.close();
    await partitioner.close();
  };
  cleanUp(close);
  return {
    port,
    config,
    servers,
    replicas,
    view,
    close,
    reload: (changed) => router.reload(configWith(changed)),
    drain: () => router.close(),
    client: async () => {
      const client = await RawClient.open(port);
      sockets.push(client.socket);
      return client;
    },
  };
}

interface StartedNodes {
  readonly folder: ClusterFolder;
  readonly servers: readonly TestRedis[];
  readonly replicas: readonly (readonly TestRedis[])[];
}

async function startNodes(
  partitions: number,
  { replicas: replicaCount = 0, redis }: RouterClusterOptions,
  cleanUp: CleanUp,
): Promise<StartedNodes> {
  const nodesPerPartition = 1 + replicaCount;
  const shape = { partitions, nodesPerPartition, statusNodes: 0, monitors: 0, ownDatabases: true };
  const folder = await ClusterFolder.create(clusterConf(shape));
  cleanUp(() => folder.end());
  const started = await folder.startServers({ data: "following", redis, cleanUp });
  const byPartition = Array.from({ length: partitions }, (_, partition) =>
    [...started].filter(([name]) => name.startsWith(`p${partition}-`)).map(([, server]) => server),
  );
  const servers = byPartition.flatMap(([master]) => master ?? []);
  const replicas = byPartition.map(([, ...others]) => others);
  for (const [partition, master] of servers.entries()) {
    await untilAllInSync(master, replicas[partition] ?? []);
  }
  return { folder, servers, replicas };
}

async function untilAllInSync(master: TestRedis, replicas: readonly TestRedis[]): Promise<void> {
  if (replicas.length === 0) return;
  const link = await master.link();
  // Something to confirm: without a write the stream is silent for ten seconds.
  await link.call("PUBLISH", "sync", "");
  await until("the replicas confirm what the master sent", async () => {
    const info = (await link.call("INFO", "replication")) as string;
    const areOnline = replicas.every(({ port }) => info.includes(`port=${port},state=online`));
    return areOnline && (await link.call("WAIT", replicas.length, 100)) === replicas.length;
  });
}

function parsed(text: string, file: string): ClusterConfig {
  const { config, errors } = parseConf(text, file);
  if (config === undefined) throw new Error(JSON.stringify(errors));
  return config;
}

/** Promotes the first replica of partition 0 and shows it as its only node; the old master is left as it is. */
export async function promoteReplica(cluster: RouterCluster): Promise<TestRedis> {
  const replica = cluster.replicas[0]?.[0];
  if (replica === undefined) throw new Error("there is no replica");
  await (await replica.link()).call("REPLICAOF", "NO", "ONE");
  cluster.view.show([{ port: replica.port, partition: 0 }], [replica.port]);
  return replica;
}

/** The bytes of several commands, each with its words parted by one space. */
export function pipelined(commands: readonly string[]): Buffer {
  return Buffer.concat(commands.map((command) => encodeCommand(command.split(" "))));
}

/** Of a stream that is no socket only what every stream has is there. */
type ClientSocket = Duplex & Pick<Socket, "resetAndDestroy">;

/** A connection that shows replies as they came. */
export class RawClient {
  readonly socket: ClientSocket;
  readonly #scanner = new ReplyScanner();
  readonly #waiting: ((reply: string) => void)[] = [];
  readonly #replies: string[] = [];

  private constructor(socket: ClientSocket) {
    this.socket = socket;
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      this.#scanner.push(chunk);
      for (let raw = this.#scanner.next(); raw !== undefined; raw = this.#scanner.next()) {
        const text = raw.toString("latin1");
        const waiting = this.#waiting.shift();
        if (waiting === undefined) this.#replies.push(text);
        else waiting(text);
      }
    });
    socket.on("close", () => {
      for (const waiting of this.#waiting.splice(0)) waiting("closed");
    });
  }

  /** Over any stream, which has no more of a socket than a stream has. */
  static over(stream: Duplex): RawClient {
    return new RawClient(stream as ClientSocket);
  }

  static open(port: number): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: "127.0.0.1", port, noDelay: true }, () => {
        resolve(new RawClient(socket));
      });
      socket.once("error", reject);
    });
  }

  send(bytes: string | Buffer): void {
    this.socket.write(bytes);
  }

  /** The next reply as latin1 text, or "closed". */
  reply(): Promise<string> {
    const ready = this.#replies.shift();
    if (ready !== undefined) return Promise.resolve(ready);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** The next `count` replies. */
  async replies(count: number): Promise<string[]> {
    const replies: string[] = [];
    while (replies.length < count) replies.push(await this.reply());
    return replies;
  }

  /** One command, words parted by one space, and its reply. */
  call(command: string): Promise<string> {
    return this.callArgs(command.split(" "));
  }

  callArgs(args: readonly (string | Buffer)[]): Promise<string> {
    this.send(encodeCommand(args));
    return this.reply();
  }
}
