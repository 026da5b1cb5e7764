// red-cluster.ts: several Redis replica sets as one Redis, after Red Cluster (2011): no twine.conf, no monitors.
//
//   crc32 of the key -> replica set -> reads to its replicas in turn, writes to its master
//
// When a master dies, this process promotes one of its replicas and repoints the others (heal.ts). It decides alone. For
// decisions by a majority use Twine's monitors and TwineClient.
import type { RedisOptions } from "ioredis";
import type { Settings } from "../../core/cluster.ts";
import type { Credentials } from "../../core/credentials.ts";
import type { Problem } from "../../core/errors.ts";
import { systemClock } from "../../ports/clock.ts";
import type { LinkTls } from "../../ports/link-tls.ts";
import { loadAof, type AofLoaded, type AofOptions } from "../../replication/aof/load-aof.ts";
import { whyNotLoadable } from "../../replication/aof/loadable.ts";
import {
  addressProblem,
  optionProblems,
  RED_RULES,
  redisOptionsOf,
  refuseProblems,
  shown,
  type IoredisOption,
} from "../client-options.ts";
import { EngineHost } from "../engine-host.ts";
import { EngineRedis } from "../engine-redis.ts";
import { RedHost, redRouting } from "./red-host.ts";
import type { RedNode } from "../../replica-sets/replica-set.ts";

export { TwineError } from "../../core/errors.ts";

export interface ReplicaSetNodes {
  /** The initial master. A failover may have replaced it. */
  readonly master: RedNode;
  readonly replicas?: readonly RedNode[];
}

export interface RedClusterOptions extends Pick<RedisOptions, IoredisOption> {
  readonly username?: string;
  readonly password?: string;
  /** As in node:tls and ioredis. Absent: connections to nodes are without TLS. */
  readonly tls?: LinkTls;
  /** A master that is silent for this long is replaced; one whose port refuses is replaced at once. @default 1000 */
  readonly downAfterMs?: number;
  /** How long a command is buffered for a master. @default 10000 */
  readonly holdForMs?: number;
  /** @default 64 MiB */
  readonly holdBytes?: number;
  readonly retryUnknown?: Settings["retryUnknown"];
  /** @default "replica" */
  readonly readFrom?: Settings["readFrom"];
}

/** The part that all clients of one RedCluster share. */
class RedShared extends EngineHost {
  /** The newest one. */
  red: RedHost | undefined;
  readonly setCount: number;

  constructor(sets: readonly ReplicaSetNodes[], options: RedClusterOptions) {
    const { holdForMs = 10_000, holdBytes = 64 * 1024 ** 2, downAfterMs = 1000 } = options;
    const { retryUnknown = "reads", readFrom = "replica", tls } = options;
    const settings = { holdForMs, holdBytes, retryUnknown, readFrom };
    const nodes = sets.map(({ master, replicas = [] }) => [master, ...replicas]);
    const credentials = credentialsOf(options);
    super(holdForMs, (report) => {
      this.red = new RedHost({ sets: nodes, credentials, tls, downAfterMs, settings }, report);
      return this.red;
    });
    this.setCount = sets.length;
  }
}

export class RedCluster extends EngineRedis {
  readonly #shared: RedShared;

  /** Connects at once; commands are buffered until every set has been asked. Throws all problems together:
      CLIENT_OPTION_BAD and RED_SETS_BAD. */
  constructor(replicaSets: readonly ReplicaSetNodes[], options?: RedClusterOptions);
  /** For duplicate(). */
  constructor(shared: RedShared, options: RedisOptions);
  constructor(
    from: readonly ReplicaSetNodes[] | RedShared,
    options: RedClusterOptions | RedisOptions = {},
  ) {
    const isDuplicate = from instanceof RedShared;
    if (!isDuplicate) refuseProblems([...optionProblems(options, RED_RULES), ...setProblems(from)]);
    const shared = isDuplicate ? from : new RedShared(from, options as RedClusterOptions);
    const redisOptions = isDuplicate ? options : redisOptionsOf(options);
    super(shared, redisOptions, isDuplicate);
    this.#shared = shared;
  }

  /** The index of a key's replica set: crc32(key) modulo the number of sets. */
  replicaSetOf(key: string | Uint8Array): number {
    const bytes = typeof key === "string" ? Buffer.from(key) : key;
    return redRouting(this.#shared.setCount).partitionOfRange?.(bytes, 0, bytes.length) ?? 0;
  }

  /** host:port of each set's present master; undefined for a set without one. */
  get masters(): readonly (string | undefined)[] {
    return this.#shared.red?.sets.map(({ master }) => master?.name) ?? [];
  }

  /** Loads existing data: an append only file, with or without an RDB preamble, or a folder with the manifest of a
      multi-part one. Checks what can be checked before it writes: see loadAof for the errors. Data is added; a key from
      an RDB replaces an existing one. Needs redis-server on PATH for RDB parts. */
  async loadAofFile(path: string, options: AofOptions = {}): Promise<AofLoaded> {
    const { commands } = await this.engineReady;
    const routing = redRouting(this.#shared.setCount);
    return loadAof(path, options, {
      clock: systemClock,
      whyNot: (args) => commands && whyNotLoadable(args, commands, routing),
      send: (args) => this.call(args[0]?.toString() ?? "", ...args.slice(1)),
    });
  }

  protected override sibling(_host: EngineHost, options: RedisOptions): RedCluster {
    return new RedCluster(this.#shared, options);
  }
}
/** Any user name, as in ioredis: the nodes are not Twine's and do not have its users. */
function credentialsOf({ username, password }: RedClusterOptions): Credentials | undefined {
  if (password === undefined) return undefined;
  return { username: (username ?? "default") as Credentials["username"], password };
}

/** The problems of the sets: an invalid address, or the same address twice. */
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
