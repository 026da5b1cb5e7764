// node-group.ts: connections to all data nodes of a twine.conf that only the tool uses: a master of each partition, and its
// replicas. The new nodes before the commit, the old ones after it.
import { addressOf, nodesOf, type ClusterConfig } from "../../core/cluster.ts";
import { credentialsOf, type Login, type Secret } from "../../core/credentials.ts";
import { TwineError } from "../../core/errors.ts";
import { errorText } from "../../core/error-text.ts";
import { byName } from "../../core/natural-order.ts";
import type { NewMaster } from "../../core/request.ts";
import type { HistoryMark } from "../../core/view.ts";
import type { Clock } from "../../ports/clock.ts";
import type { LinkTls } from "../../ports/link-tls.ts";
import { NodeError } from "../../replication/node-error.ts";
import { infoOf } from "../../replication/node-info.ts";
import { openNodeSocket, type NodeSocket } from "../../replication/node-socket.ts";
import { openNodeTarget, type MoveTarget } from "../target.ts";

export interface NodePorts {
  readonly password: Secret | undefined;
  readonly tls: LinkTls | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export interface GroupNode {
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

const SILENCE_MS_MAX = 60_000;
const POLL_MS = 5;

export class NodeGroup {
  readonly nodes: readonly GroupNode[];
  readonly masters: readonly GroupNode[];
  readonly #ports: NodePorts;

  private constructor(
    nodes: readonly GroupNode[],
    masters: readonly GroupNode[],
    ports: NodePorts,
  ) {
    this.nodes = nodes;
    this.masters = masters;
    this.#ports = ports;
  }

  /**
   * `masterNames`: by partition; absent: the first of each partition. Throws RESHARD_NODE_AWAY for all nodes that do not
   * answer, and the signal's reason.
   */
  static async connect(
    config: ClusterConfig,
    ports: NodePorts,
    masterNames?: readonly (string | null)[],
  ): Promise<NodeGroup> {
    const nodes = await allOpened(
      byName(nodesOf(config, "data")).map(async (node): Promise<GroupNode> => {
        const { name, partition, port, db } = node;
        const at = { name, host: addressOf(node.host), port, place: `${node.host}:${port}` };
        return { ...at, partition, db, socket: await openGroupNode(at, ports) };
      }),
      ports.signal,
    );
    const masters = Array.from({ length: config.settings.partitions }, (_, index) =>
      nodes.find(({ partition, name }) =>
        masterNames === undefined ? partition === index : name === masterNames[index],
      ),
    ).filter((node) => node !== undefined);
    return new NodeGroup(nodes, masters, ports);
  }

  /** New connections to all: a node may have died and come back. Throws RESHARD_NODE_AWAY. */
  async reconnect(): Promise<void> {
    this.close();
    await allOpened(
      this.nodes.map(async (node) => {
        node.socket = await openGroupNode(node, this.#ports);
        return node;
      }),
      this.#ports.signal,
    );
  }

  replicasOf(master: GroupNode): GroupNode[] {
    return this.nodes.filter(
      ({ partition, name }) => partition === master.partition && name !== master.name,
    );
  }

  async attachReplicas(master: GroupNode): Promise<void> {
    for (const { socket } of this.replicasOf(master)) {
      await socket.call("REPLICAOF", master.host, String(master.port));
    }
  }

  /** Connections to the masters, by partition. The caller closes them. */
  async targets(credentials: Login | undefined): Promise<MoveTarget[]> {
    const { tls, clock, signal } = this.#ports;
    const options = { credentials, tls, clock, signal, silenceMsMax: SILENCE_MS_MAX };
    const targets: MoveTarget[] = [];
    try {
      for (const { host, port, db } of this.masters) {
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
      this.masters.map(async (master) => {
        const offset = Number(
          (await infoOf(master.socket, "replication")).get("master_repl_offset"),
        );
        for (const replica of this.replicasOf(master)) {
          while (!(await hasReached(replica.socket, offset))) {
            signal.throwIfAborted();
            if (clock.nowMs() > endMs) throw notInSync(replica.name, master.name);
            await clock.delay(POLL_MS);
          }
        }
      }),
    );
  }

  /** The masters for the alpha. Throws RESHARD_NODE_AWAY if one is no master any more. */
  async newMasters(): Promise<NewMaster[]> {
    return Promise.all(
      this.masters.map(async ({ name: node, socket }) => {
        const fields = await infoOf(socket, "everything");
        if (fields.get("role") !== "master") {
          throw away(node, new Error("it is no master any more"));
        }
        const runId = fields.get("run_id") ?? "";
        return { node, runId, replicationId: fields.get("master_replid") ?? "" };
      }),
    );
  }

  /** Where the masters' histories are now, by partition. */
  async historyMarks(): Promise<HistoryMark[]> {
    return Promise.all(
      this.masters.map(async ({ socket }) => {
        const fields = await infoOf(socket, "replication");
        const offset = Number(fields.get("master_repl_offset"));
        return { replicationId: fields.get("master_replid") ?? "", offset };
      }),
    );
  }

  close(): void {
    for (const { socket } of this.nodes) socket.destroy();
  }
}

/** Throws RESHARD_NODE_AWAY, or the node's refusal of the password. */
async function openGroupNode(
  { name, place, host, port }: Pick<GroupNode, "name" | "place" | "host" | "port">,
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
  opening: readonly Promise<GroupNode>[],
  signal: AbortSignal,
): Promise<GroupNode[]> {
  const opened = await Promise.allSettled(opening);
  const nodes = opened.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  const failures = opened.flatMap((one): TwineError[] =>
    one.status === "rejected" ? [one.reason as TwineError] : [],
  );
  if (failures.length === 0 && !signal.aborted) return nodes;
  for (const { socket } of nodes) socket.destroy();
  signal.throwIfAborted();
  throw new TwineError(
    failures.flatMap(({ problems }) => problems),
    { cause: failures.find(isDenied)?.cause },
  );
}

/** A node refuses the password: trying again does not help. */
export function isDenied({ cause }: { readonly cause?: unknown }): boolean {
  return cause instanceof NodeError && cause.kind === "denied";
}

async function hasReached(socket: NodeSocket, offset: number): Promise<boolean> {
  const fields = await infoOf(socket, "replication");
  const isUp = fields.get("master_link_status") === "up";
  return isUp && Number(fields.get("slave_repl_offset")) >= offset;
}

function away(node: string, error: unknown): TwineError {
  return new TwineError(
    {
      code: "RESHARD_NODE_AWAY",
      message: `node ${node} can't be used: ${errorText(error)}`,
      remedy: "start it with twine-setup and twine-start --conf NEW.conf, and try again",
    },
    { cause: error },
  );
}

function notInSync(replica: string, master: string): TwineError {
  return new TwineError({
    code: "RESHARD_NOT_IN_SYNC",
    message: `${replica} does not catch up with ${master}`,
    remedy: "see the log of both nodes, and try again",
  });
}
