// red-cluster.ts: a group of plain Redis replica sets as one Redis, after Red Cluster (2011): no twine.conf, no monitors.
//
//   crc32 of the key -> replica set -> reads to its replicas in turn, writes to its master
//
// When a master dies this process promotes one of that set's replicas and makes the others follow it (heal.ts). It decides
// alone: for a majority that decides there are Twine's monitors and TwineClient.
import { builtinPartition } from "../../core/hash/partition-function.ts";
import type { Problem } from "../../core/errors.ts";
import type { Settings } from "../../core/cluster.ts";
import type { Credentials } from "../../core/credentials.ts";
import { systemClock } from "../../ports/clock.ts";
import type { LinkTls } from "../../ports/link-tls.ts";
import { systemRandom } from "../../ports/random.ts";
import { loadAof, type AofLoaded, type AofOptions } from "../aof/load-aof.ts";
import { askCommands, silenceOf } from "../ask-commands.ts";
import {
  addressProblem,
  optionProblems,
  RED_RULES,
  refuseProblems,
  shown,
} from "../client-options.ts";
import { closedError, ClusterClient } from "../cluster-client.ts";
import { Dispatcher } from "../dispatcher.ts";
import type { LaneContext, Topology } from "../lane-context.ts";
import type { NodeTarget } from "../node-connection.ts";
import { ReplicaSet, type RedNode } from "./replica-set.ts";

export { TwineError } from "../../core/errors.ts";

export interface ReplicaSetNodes {
  /** The write master as long as nothing else happened. */
  readonly master: RedNode;
  readonly replicas?: readonly RedNode[];
}

export interface RedClusterOptions {
  readonly username?: string;
  readonly password?: string;
  /** As node:tls and ioredis have it; without it nodes are spoken to without TLS. */
  readonly tls?: LinkTls;
  /** A master that is silent for so long is replaced; one whose port refuses, at once. 1000 unless told otherwise. */
  readonly downAfterMs?: number;
  /** How long a command may wait for a master; 10000. */
  readonly holdForMs?: number;
  /** 64 MiB. */
  readonly holdBytes?: number;
  readonly retryUnknown?: Settings["retryUnknown"];
  /** replica unless told otherwise. */
  readonly readFrom?: Settings["readFrom"];
}

const CONNECT_TIMEOUT_MS = 1000;

export class RedCluster extends ClusterClient {
  readonly #options: RedClusterOptions;
  readonly #sets: readonly ReplicaSet[];
  readonly #listeners = new Set<() => void>();
  readonly #ready: Promise<void>;
  #dispatcher: Dispatcher | undefined;
  readonly #partitionOf: (key: Uint8Array) => number;

  /** Connects at once; commands are held until every set has been asked. Throws every CLIENT_OPTION_BAD and
      RED_SETS_BAD at once. */
  constructor(replicaSets: readonly ReplicaSetNodes[], options: RedClusterOptions = {}) {
    refuseProblems([...optionProblems(options, RED_RULES), ...setProblems(replicaSets)]);
    super({ clock: systemClock, holdForMs: options.holdForMs ?? 10_000 });
    this.#options = options;
    this.#partitionOf = builtinPartition("crc32", replicaSets.length);
    this.#sets = replicaSets.map(({ master, replicas = [] }, index) =>
      this.#openSet(index, [master, ...replicas]),
    );
    this.#ready = this.#start();
    this.#ready.catch((error: unknown) => {
      const failure = error instanceof Error ? error : new Error(String(error));
      if (this.isClosed) return;
      this.failWaiting(failure);
      this.emit("error", failure);
    });
  }

  /** Resolves when every set was asked once and some node told its commands. */
  ready(): Promise<void> {
    return this.isClosed ? Promise.reject(closedError()) : this.#ready;
  }

  /** The number of a key's replica set: its crc32 modulo the number of sets. */
  replicaSetOf(key: string | Uint8Array): number {
    return this.#partitionOf(typeof key === "string" ? Buffer.from(key) : key);
  }

  /** host:port of the present master of each set, undefined where there is none. */
  get masters(): readonly (string | undefined)[] {
    return this.#sets.map(({ master }) => master?.name);
  }

  /** Loads existing data: an append only file, with or without an RDB before its commands, or a folder with the manifest of
      a multi-part one. What can be told beforehand is told before anything is written: see loadAof for the errors. It adds
      to what is there; a key of an RDB part replaces the one of its name. Needs redis-server on PATH for RDB parts. */
  async loadAofFile(path: string, options: AofOptions = {}): Promise<AofLoaded> {
    await this.ready();
    return loadAof(path, options, {
      clock: systemClock,
      whyNot: (args) => this.#dispatcher?.whyNot(args),
      send: (args) => this.call(args[0]?.toString() ?? "", ...args.slice(1)),
    });
  }

  protected override async closeSources(): Promise<void> {
    this.#listeners.clear();
    await Promise.all(this.#sets.map((set) => set.close()));
  }

  #openSet(index: number, nodes: readonly RedNode[]): ReplicaSet {
    return new ReplicaSet({
      index,
      nodes,
      credentials: credentialsOf(this.#options),
      clock: systemClock,
      tls: this.#options.tls,
      downAfterMs: this.#options.downAfterMs ?? 1000,
      onChange: () => {
        for (const listener of [...this.#listeners]) listener();
      },
      onFailover: (from, to) => {
        this.emit("failover", { partition: index, from, to });
      },
      onError: (error) => {
        this.emit("error", error);
      },
    });
  }

  async #start(): Promise<void> {
    await Promise.all(this.#sets.map((set) => set.tend()));
    const known = await askCommands({
      targets: () =>
        this.#sets.flatMap(({ master, targets }) => (master === undefined ? targets : [master])),
      clock: systemClock,
      tls: this.#options.tls,
      isOver: () => this.isClosed,
      onSilence: (target, why) => {
        this.tellWhyNotReady(silenceOf(target, why));
      },
    });
    if (known === undefined) throw closedError();
    const partitioner = { partitionOf: this.#partitionOf, close: () => Promise.resolve() };
    const context = this.#laneContext();
    const ports = { context, partitioner, random: systemRandom, onMessage: this.takeMessage };
    this.#dispatcher = new Dispatcher({ ...ports, ...known });
    this.open(this.#dispatcher);
  }

  #laneContext(): LaneContext {
    const { holdForMs = 10_000, holdBytes = 64 * 1024 ** 2, downAfterMs = 1000 } = this.#options;
    return {
      topology: this.#topology(),
      clock: systemClock,
      holdForMs,
      holdBytesMax: holdBytes,
      ackReplicas: 0,
      ackTimeoutMs: 0,
      retryUnknown: this.#options.retryUnknown ?? "reads",
      tls: this.#options.tls,
      connectTimeoutMs: Math.min(CONNECT_TIMEOUT_MS, downAfterMs),
      readerSilentMs: downAfterMs,
      heldBytes: 0,
      onFailure: (partition: number, target: NodeTarget) => {
        const set = this.#sets[partition];
        if (set?.master?.name === target.name) void set.tend();
      },
      ...this.outages,
    };
  }

  #topology(): Topology {
    const { readFrom = "replica" } = this.#options;
    return {
      partitionCount: this.#sets.length,
      master: (partition) => this.#sets[partition]?.master,
      readers: (partition) => (readFrom === "master" ? [] : (this.#sets[partition]?.readers ?? [])),
      mayWrite: () => true,
      clash: () => undefined,
      onChange: (task) => {
        this.#listeners.add(task);
        return () => this.#listeners.delete(task);
      },
    };
  }
}

/** A user of ioredis's own naming: the nodes are not Twine's, and so are their users. */
function credentialsOf({ username, password }: RedClusterOptions): Credentials | undefined {
  if (password === undefined) return undefined;
  return { username: (username ?? "default") as Credentials["username"], password };
}

/** What is wrong with the sets: no address, or the same one twice. */
function setProblems(sets: unknown): Problem[] {
  const problem = (message: string): Problem => ({
    code: "RED_SETS_BAD",
    message,
    remedy: "give every set its own nodes: [{ master: { host, port }, replicas: [...] }, ...]",
  });
  if (!Array.isArray(sets)) return [problem(`the replica sets are ${shown(sets)}`)];
  if (sets.length === 0) return [problem("there is no replica set")];
  const seen = new Map<string, number>();
  return sets.flatMap((set: Partial<ReplicaSetNodes> | null, index) => {
    const replicas: unknown = set?.replicas ?? [];
    if (!Array.isArray(replicas)) {
      return [problem(`the replicas of replica set ${index} are ${shown(replicas)}`)];
    }
    return [set?.master, ...(replicas as unknown[])].flatMap((node, number) => {
      const which = number === 0 ? "the master" : `replica ${number}`;
      const why = addressProblem(node);
      if (why !== undefined) {
        return [problem(`${which} of replica set ${index} is no address of a node: ${why}`)];
      }
      const { host, port } = node as RedNode;
      const name = `${host === "localhost" ? "127.0.0.1" : host}:${port}`;
      const other = seen.get(name);
      seen.set(name, index);
      return other === undefined
        ? []
        : [problem(`${name} is in replica set ${other} and again in ${index}`)];
    });
  });
}
