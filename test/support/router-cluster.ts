// router-cluster.ts: a router over plain redis-servers, with a view that the test keeps by hand.
import { connect, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import { parseConf } from "../../runtime/core/conf/parse.ts";
import { stateOf, type NodeView, type View } from "../../runtime/core/view.ts";
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { loadPartitioner } from "../../runtime/ports/hash-source.ts";
import { silentLog, type Log } from "../../runtime/ports/log.ts";
import type { ViewSource } from "../../runtime/register/view-source.ts";
import { encodeCommand } from "../../runtime/resp/encode.ts";
import { ReplyScanner } from "../../runtime/resp/reply-scanner.ts";
import { startRouter } from "../../runtime/router/server.ts";
import { freePort, startRedis, until, type TestRedis } from "./redis-server.ts";

/** A view source that says what the test tells it. */
export class HandKeptView implements ViewSource {
  #view: View | undefined;
  #isConfirmed = true;
  readonly #tasks = new Set<() => void>();

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
    const nodeViews = nodes.map(({ port, partition }): NodeView => {
      const role = masters[partition] === port ? "master" : "replica";
      return {
        name: `n${port}`,
        kind: "data",
        host: "localhost",
        port,
        db: partition,
        partition,
        role,
        inSync: true,
        runId: null,
        since: `revision ${revision}`,
      };
    });
    const partitions = masters.map((master, index) => ({
      index,
      master: master === null ? null : `n${master}`,
      replicas: nodeViews.flatMap(({ name, role, partition }) =>
        role === "replica" && partition === index ? [name] : [],
      ),
      dead: [],
      replicationId: null,
      lastMaster: null,
      needs: null,
    }));
    this.set({
      cluster: "test",
      state: stateOf({ partitions, nodes: nodeViews }),
      epoch: 1,
      revision,
      alpha: "m1",
      updatedAt: "",
      confDigest: "",
      partitions,
      nodes: nodeViews,
    });
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
  /** The path of twine.conf, where the files that it names are looked for. */
  readonly file?: string;
  readonly log?: Log;
  readonly cleanUp?: (task: () => Promise<void>) => void;
}

/** A master waits five seconds for more replicas before it syncs the first, unless told otherwise. */
const SYNC_AT_ONCE = ["repl-diskless-sync-delay 0"];

/** A router over `partitions` redis-servers; partition p's database is number p, to see that SELECT happens. */
export async function startRouterCluster(
  options: RouterClusterOptions = {},
): Promise<RouterCluster> {
  const { partitions = 3, settings = [], cleanUp = onTestFinished } = options;
  const servers: TestRedis[] = [];
  for (let partition = 0; partition < partitions; partition++) {
    servers.push(await startRedis([...SYNC_AT_ONCE, ...(options.redis ?? [])], cleanUp));
  }
  const replicas: TestRedis[][] = [];
  for (const server of servers) {
    const ofPartition: TestRedis[] = [];
    for (let count = 0; count < (options.replicas ?? 0); count++) {
      ofPartition.push(await startReplica(server, ofPartition.length + 1, cleanUp));
    }
    replicas.push(ofPartition);
  }
  const nodes = servers.flatMap((server, partition) =>
    [server, ...(replicas[partition] ?? [])].map(({ port }) => ({ port, partition })),
  );
  const lines = nodes.map(
    ({ port, partition }) => `n${port}=data ${partition} localhost ${port} ${partition}`,
  );
  const config = configOf([...lines, ...settings], options.file);
  const view = new HandKeptView();
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
  });
  const sockets: Socket[] = [];
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
    reload: (changed) => router.reload(configOf([...lines, ...changed], options.file)),
    drain: () => router.close(),
    client: async () => {
      const client = await RawClient.open(port);
      sockets.push(client.socket);
      return client;
    },
  };
}

/** The `nth` replica of `master`, in sync. */
async function startReplica(
  master: TestRedis,
  nth: number,
  cleanUp: (task: () => Promise<void>) => void,
): Promise<TestRedis> {
  const replica = await startRedis([`replicaof 127.0.0.1 ${master.port}`], cleanUp);
  const link = await master.link();
  // Something to confirm: without a write the stream is silent for ten seconds.
  await link.call("PUBLISH", "sync", "");
  await until("the replica confirms what the master sent", async () => {
    const info = (await link.call("INFO", "replication")) as string;
    const isOnline = info.includes(`port=${replica.port},state=online`);
    return isOnline && (await link.call("WAIT", nth, 100)) === nth;
  });
  return replica;
}

function configOf(lines: readonly string[], file = "/nowhere/twine.conf"): ClusterConfig {
  const parsed = parseConf(`${lines.join("\n")}\n`, file);
  if (parsed.config === undefined) throw new Error(JSON.stringify(parsed.errors));
  return parsed.config;
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

/** A connection that shows replies as they came. */
export class RawClient {
  readonly socket: Socket;
  readonly #scanner = new ReplyScanner();
  readonly #waiting: ((reply: string) => void)[] = [];
  readonly #replies: string[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => {
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
