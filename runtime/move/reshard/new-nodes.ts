// new-nodes.ts: the empty nodes that are to hold the new partitions: checked, emptied, one of each made master, the others
// its replicas. No monitor knows them before the commit, so only the tool changes their roles.
import type { ClusterConfig } from "../../core/cluster.ts";
import { credentialsOf } from "../../core/credentials.ts";
import { TwineError, type Problem } from "../../core/errors.ts";
import type { NewMaster } from "../../core/request.ts";
import type { HistoryMark, View } from "../../core/view.ts";
import { infoOf } from "../../replication/node-info.ts";
import { openNodeSocket, type NodeSocketOptions } from "../../replication/node-socket.ts";
import { openRdbStream } from "../../replication/rdb-stream.ts";
import type { MoveTarget } from "../target.ts";
import { isDenied, NodeGroup, NOWHERE, type GroupNode, type NodePorts } from "./node-group.ts";
import type { NodeRoom } from "./room.ts";

const RELEASE_WITHIN_MS = 5_000;
const SILENCE_MS_MAX = 60_000;
const IN_SYNC_WITHIN_MS = 60_000;
const BACK_REST_MS = 500;

/** Connections to all data nodes of a twine.conf. */
export class NewNodes {
  readonly #group: NodeGroup;
  readonly #ports: NodePorts;

  private constructor(group: NodeGroup, ports: NodePorts) {
    this.#group = group;
    this.#ports = ports;
  }

  /** Throws RESHARD_NODE_AWAY for all nodes that do not answer, and the signal's reason. */
  static async connect(config: ClusterConfig, ports: NodePorts): Promise<NewNodes> {
    return new NewNodes(await NodeGroup.connect(config, ports), ports);
  }

  /** Throws RESHARD_NODE_USED unless every node is empty and of no cluster; `mayEmpty`: keys are no obstacle. */
  async check(view: View, mayEmpty: boolean): Promise<NodeRoom[]> {
    const runIds = new Set(view.nodes.map(({ runId }) => runId));
    const problems: Problem[] = [];
    const rooms: NodeRoom[] = [];
    for (const { name: node, partition, socket } of this.#group.nodes) {
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
    await this.#group.reconnect();
    for (const master of this.#group.masters) {
      await master.socket.call("REPLICAOF", "NO", "ONE");
      await this.#emptied(master, false);
      await this.#group.attachReplicas(master);
    }
    await this.untilInSync(IN_SYNC_WITHIN_MS);
    for (const master of this.#group.masters) await this.#withBacklog(master);
  }

  /** Every node answers again: one that is away for a while costs no attempt. Throws RESHARD_NODE_AWAY. */
  async untilBack(withinMs: number, requireGoing: () => void): Promise<void> {
    const { clock, signal } = this.#ports;
    const endMs = clock.nowMs() + withinMs;
    for (;;) {
      try {
        await this.#group.reconnect();
        return;
      } catch (error) {
        const isAway = error instanceof TwineError && !isDenied(error);
        if (!isAway || signal.aborted || clock.nowMs() > endMs) throw error;
      }
      requireGoing();
      await clock.delay(BACK_REST_MS);
    }
  }

  /** By partition. The caller closes them. */
  targets(): Promise<MoveTarget[]> {
    return this.#group.targets(credentialsOf("app", this.#ports.password));
  }

  /** Every replica has what its master has now. Throws RESHARD_NOT_IN_SYNC. */
  untilInSync(withinMs: number): Promise<void> {
    return this.#group.untilInSync(withinMs);
  }

  /** The masters' addresses, by partition. */
  get masterNodes(): readonly GroupNode[] {
    return this.#group.masters;
  }

  /** Throws RESHARD_NODE_AWAY if one is no master any more. */
  masters(): Promise<NewMaster[]> {
    return this.#group.newMasters();
  }

  /** Where the new masters' histories are now, by partition. */
  historyMarks(): Promise<HistoryMark[]> {
    return this.#group.historyMarks();
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
      this.#group.nodes.map(async (node) => {
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
    return this.#group.nodes.flatMap(({ name }, at) =>
      released[at]?.status === "fulfilled" ? [] : [name],
    );
  }

  close(): void {
    for (const { socket } of this.#group.nodes) socket.destroy();
  }

  async #emptied(
    { host, port }: GroupNode,
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
      const fields = await infoOf(socket, "server");
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

  /** A master without replicas keeps no history before it is first copied: the way back follows that history. */
  async #withBacklog(master: GroupNode): Promise<void> {
    if (this.#group.replicasOf(master).length > 0) return;
    const { password, tls, clock, signal } = this.#ports;
    const credentials = credentialsOf("monitor", password);
    const stream = openRdbStream(master, { credentials, tls, clock, signal });
    // It is empty.
    for await (const _chunk of stream.chunks());
  }
}

function keysIn(fields: ReadonlyMap<string, string>): number {
  let keys = 0;
  for (const [name, value] of fields) {
    if (/^db\d+$/.test(name)) keys += Number(/keys=(\d+)/.exec(value)?.[1] ?? 0);
  }
  return keys;
}

function used(message: string, remedy: string): Problem {
  return { code: "RESHARD_NODE_USED", message, remedy };
}
