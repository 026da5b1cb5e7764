// new-nodes.ts: the empty nodes that are to hold the new partitions: checked, emptied, one of each made master, the others
// its replicas. No monitor knows them before the commit, so only the tool changes their roles.
import { addressOf, nodesOf, type ClusterConfig } from "../../core/cluster.ts";
import { credentialsOf, type Secret } from "../../core/credentials.ts";
import { TwineError, type Problem } from "../../core/errors.ts";
import { errorText } from "../../core/error-text.ts";
import { byName } from "../../core/natural-order.ts";
import type { NewMaster } from "../../core/request.ts";
import type { View } from "../../core/view.ts";
import type { Clock } from "../../ports/clock.ts";
import type { LinkTls } from "../../ports/link-tls.ts";
import {
  openNodeSocket,
  type NodeSocket,
  type NodeSocketOptions,
} from "../../replication/node-socket.ts";
import { infoFields } from "../../resp/info-fields.ts";
import { textOf } from "../../resp/value.ts";
import { openNodeTarget, type MoveTarget } from "../target.ts";
import type { NodeRoom } from "./room.ts";

export interface NodePorts {
  readonly password: Secret | undefined;
  readonly tls: LinkTls | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

interface NewNode {
  readonly name: string;
  readonly partition: number;
  readonly host: string;
  readonly port: number;
  readonly db: number;
  /** As twine.conf writes it. */
  readonly place: string;
  /** Of the present attempt. */
  socket: NodeSocket;
}

/** A master that does not exist: such a node is dead, as a data node is after its start. */
export const NOWHERE = { host: "127.0.0.1", port: "1" } as const;

const RELEASE_WITHIN_MS = 5_000;
const SILENCE_MS_MAX = 60_000;
const IN_SYNC_WITHIN_MS = 60_000;
const POLL_MS = 5;

/** Connections to all data nodes of a twine.conf. */
export class NewNodes {
  readonly #nodes: readonly NewNode[];
  readonly #ports: NodePorts;
  readonly #partitions: number;

  private constructor(nodes: readonly NewNode[], partitions: number, ports: NodePorts) {
    this.#nodes = nodes;
    this.#partitions = partitions;
    this.#ports = ports;
  }

  /** Throws RESHARD_NODE_AWAY for all nodes that do not answer, and the signal's reason. */
  static async connect(config: ClusterConfig, ports: NodePorts): Promise<NewNodes> {
    const opened = await allOpened(
      byName(nodesOf(config, "data")).map(async (node): Promise<NewNode> => {
        const { name, partition, port, db } = node;
        const at = { name, host: addressOf(node.host), port, place: `${node.host}:${port}` };
        return { ...at, partition, db, socket: await openNewNode(at, ports) };
      }),
      ports.signal,
    );
    return new NewNodes(opened, config.settings.partitions, ports);
  }

  /** Throws RESHARD_NODE_USED unless every node is empty and of no cluster; `mayEmpty`: keys are no obstacle. */
  async check(view: View, mayEmpty: boolean): Promise<NodeRoom[]> {
    const runIds = new Set(view.nodes.map(({ runId }) => runId));
    const problems: Problem[] = [];
    const rooms: NodeRoom[] = [];
    for (const { name: node, partition, socket } of this.#nodes) {
      const fields = await infoOf(socket, "everything");
      if (runIds.has(fields.get("run_id") ?? "")) {
        problems.push(used(`${node} is a node of the running cluster`, "name another port"));
      } else if (fields.get("loading") === "1") {
        problems.push(used(`${node} is loading its data`, "wait until it has loaded"));
      } else if (keysIn(fields) > 0 && !mayEmpty) {
        const remedy =
          "if they are left from a resharding that was broken off, repeat the command with --empty; else name another node";
        problems.push(used(`${node} holds ${keysIn(fields)} keys`, remedy));
      }
      rooms.push({ node, partition, maxmemoryBytes: Number(fields.get("maxmemory") ?? 0) });
    }
    if (problems.length > 0) throw new TwineError(problems);
    return rooms;
  }

  /**
   * Every node is empty; the first of each partition is master, and the others are its replicas, in sync. For each attempt,
   * on new connections: a node may have died and come back. Throws RESHARD_NODE_AWAY.
   */
  async prepare(): Promise<void> {
    this.close();
    await allOpened(
      this.#nodes.map(async (node) => {
        node.socket = await openNewNode(node, this.#ports);
        return node;
      }),
      this.#ports.signal,
    );
    for (const master of this.#masters()) {
      await master.socket.call("REPLICAOF", "NO", "ONE");
      await this.#emptied(master, false);
      for (const { socket } of this.#replicasOf(master)) {
        await socket.call("REPLICAOF", master.host, String(master.port));
      }
    }
    await this.untilInSync(IN_SYNC_WITHIN_MS);
  }

  /** By partition. The caller closes them. */
  async targets(): Promise<MoveTarget[]> {
    const options = this.#access();
    const targets: MoveTarget[] = [];
    try {
      for (const { host, port, db } of this.#masters()) {
        targets.push(await openNodeTarget({ host, port }, { ...options, db }));
      }
      return targets;
    } catch (error) {
      for (const target of targets) target.close();
      throw error;
    }
  }

  /** Every replica has what its master has now. Throws RESHARD_NOT_IN_SYNC. */
  async untilInSync(withinMs: number): Promise<void> {
    const { clock, signal } = this.#ports;
    const endMs = clock.nowMs() + withinMs;
    await Promise.all(
      this.#masters().map(async (master) => {
        const offset = Number(
          (await infoOf(master.socket, "replication")).get("master_repl_offset"),
        );
        for (const replica of this.#replicasOf(master)) {
          while (!(await hasReached(replica.socket, offset))) {
            signal.throwIfAborted();
            if (clock.nowMs() > endMs) throw notInSync(replica.name, master.name);
            await clock.delay(POLL_MS);
          }
        }
      }),
    );
  }

  /** Throws RESHARD_NODE_AWAY if one is no master any more. */
  async masters(): Promise<NewMaster[]> {
    return Promise.all(
      this.#masters().map(async ({ name: node, socket }) => {
        const fields = await infoOf(socket, "everything");
        if (fields.get("role") !== "master")
          throw away(node, new Error("it is no master any more"));
        const runId = fields.get("run_id") ?? "";
        return { node, runId, replicationId: fields.get("master_replid") ?? "" };
      }),
    );
  }

  /**
   * They are as they were when they were started: empty, and of no master. Only after no commit can happen any more. Never
   * rejects; the names of those that could not be emptied. Each is emptied as a master, because a replica may be far behind
   * its own. The connections are new, because an interruption has ended the others.
   */
  async release(): Promise<string[]> {
    const { password, tls, clock } = this.#ports;
    const access = { tls, clock, signal: undefined, silenceMsMax: RELEASE_WITHIN_MS };
    const credentials = credentialsOf("monitor", password);
    const released = await Promise.allSettled(
      this.#nodes.map(async (node) => {
        const { host, port } = node;
        const socket = await openNodeSocket({ host, port }, { ...access, credentials });
        try {
          await socket.call("REPLICAOF", "NO", "ONE");
          // In the background: nobody waits for the memory, and a node with much of it would seem silent.
          await this.#emptied(node, true, access);
          await socket.call("REPLICAOF", NOWHERE.host, NOWHERE.port);
        } finally {
          socket.destroy();
        }
      }),
    );
    return this.#nodes.flatMap(({ name }, at) =>
      released[at]?.status === "fulfilled" ? [] : [name],
    );
  }

  close(): void {
    for (const { socket } of this.#nodes) socket.destroy();
  }

  async #emptied(
    { host, port }: NewNode,
    inBackground: boolean,
    access: Partial<NodeSocketOptions> = {},
  ): Promise<void> {
    const credentials = credentialsOf("app", this.#ports.password);
    const socket = await openNodeSocket(
      { host, port },
      { ...this.#access(), ...access, credentials },
    );
    try {
      await socket.call("FLUSHALL", ...(inBackground ? ["ASYNC"] : []));
      const fields = infoFields(textOf(await socket.call("INFO", "server")) ?? "");
      const major = Number(fields.get("redis_version")?.split(".")[0]);
      if (major >= 7) await socket.call("FUNCTION", "FLUSH");
    } finally {
      socket.destroy();
    }
  }

  #access() {
    const { password, tls, clock, signal } = this.#ports;
    const credentials = credentialsOf("app", password);
    return { credentials, tls, clock, signal, silenceMsMax: SILENCE_MS_MAX };
  }

  #masters(): NewNode[] {
    return Array.from({ length: this.#partitions }, (_, index) =>
      this.#nodes.find(({ partition }) => partition === index),
    ).filter((node) => node !== undefined);
  }

  #replicasOf(master: NewNode): NewNode[] {
    return this.#nodes.filter(
      ({ partition, name }) => partition === master.partition && name !== master.name,
    );
  }
}

/** Throws RESHARD_NODE_AWAY. */
async function openNewNode(
  { name, place, host, port }: Pick<NewNode, "name" | "place" | "host" | "port">,
  { password, tls, clock, signal }: NodePorts,
): Promise<NodeSocket> {
  const credentials = credentialsOf("monitor", password);
  const options = { credentials, tls, clock, signal, silenceMsMax: SILENCE_MS_MAX };
  try {
    return await openNodeSocket({ host, port }, options);
  } catch (error) {
    throw away(`${name} at ${place}`, error);
  }
}

/** All of them, or none stays open and all failures are thrown; an interruption is no failure of a node. */
async function allOpened(
  opening: readonly Promise<NewNode>[],
  signal: AbortSignal,
): Promise<NewNode[]> {
  const opened = await Promise.allSettled(opening);
  const nodes = opened.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  const failures = opened.flatMap((one): TwineError[] =>
    one.status === "rejected" ? [one.reason as TwineError] : [],
  );
  if (failures.length === 0 && !signal.aborted) return nodes;
  for (const { socket } of nodes) socket.destroy();
  signal.throwIfAborted();
  throw new TwineError(failures.flatMap(({ problems }) => problems));
}

async function infoOf(socket: NodeSocket, section: string): Promise<Map<string, string>> {
  return infoFields(textOf(await socket.call("INFO", section)) ?? "");
}

async function hasReached(socket: NodeSocket, offset: number): Promise<boolean> {
  const fields = await infoOf(socket, "replication");
  const isUp = fields.get("master_link_status") === "up";
  return isUp && Number(fields.get("slave_repl_offset")) >= offset;
}

function keysIn(fields: ReadonlyMap<string, string>): number {
  let keys = 0;
  for (const [name, value] of fields) {
    if (/^db\d+$/.test(name)) keys += Number(/keys=(\d+)/.exec(value)?.[1] ?? 0);
  }
  return keys;
}

function away(node: string, error: unknown): TwineError {
  return new TwineError(
    {
      code: "RESHARD_NODE_AWAY",
      message: `the new node ${node} can't be used: ${errorText(error)}`,
      remedy: "start it with twine-setup and twine-start --conf NEW.conf, and try again",
    },
    { cause: error },
  );
}

function used(message: string, remedy: string): Problem {
  return { code: "RESHARD_NODE_USED", message, remedy };
}

function notInSync(replica: string, master: string): TwineError {
  return new TwineError({
    code: "RESHARD_NOT_IN_SYNC",
    message: `${replica} does not catch up with ${master}`,
    remedy: "see the log of both nodes, and try again",
  });
}
