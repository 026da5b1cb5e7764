// old-nodes.ts: the data nodes from before a resharding, while the way back to them is kept: masters that only this tool
// writes to, and their replicas.
//
//   detached (since the fence) --keep--> masters, clients may not write --openToClients--> clients may write --commit--> served
//          ^                                  |  ^-----closeToClients-----------'
//          '------------- release ------------'
//
// No view names them, so no router sends them anything once its lease is over. A client that goes past the routers would
// still find a master: so clients' users may not write there. These rights are the running node's alone: a restart brings
// back those of its files, and leaves it detached.
import { randomBytes } from "node:crypto";
import type { ClusterConfig } from "../../core/cluster.ts";
import { credentialsOf } from "../../core/credentials.ts";
import { TwineError } from "../../core/errors.ts";
import { errorText } from "../../core/error-text.ts";
import type { NewMaster } from "../../core/request.ts";
import type { View } from "../../core/view.ts";
import { infoOf } from "../../replication/node-info.ts";
import { openNodeSocket } from "../../replication/node-socket.ts";
import type { MoveTarget } from "../target.ts";
import { NodeGroup, NOWHERE, type GroupNode, type NodePorts } from "./node-group.ts";

const TOOL_USER = "twine-way-back";
const WITHIN_MS = 5_000;

export class OldNodes {
  readonly #group: NodeGroup;
  readonly #ports: NodePorts;
  readonly #password = randomBytes(24).toString("hex");

  private constructor(group: NodeGroup, ports: NodePorts) {
    this.#group = group;
    this.#ports = ports;
  }

  /**
   * The nodes of the twine.conf from before, with the masters of `view`, which is from before the commit. Throws
   * RESHARD_NODE_AWAY, and OLD_NODE_RESTARTED when one may not have all its data.
   */
  static async connect(config: ClusterConfig, view: View, ports: NodePorts): Promise<OldNodes> {
    const names = view.partitions.map(({ master }) => master);
    const group = await NodeGroup.connect(config, ports, names);
    try {
      for (const { name, partition, socket } of group.masters) {
        const runId = (await infoOf(socket, "server")).get("run_id");
        if (runId !== view.partitions[partition]?.masterRunId) throw restarted(name);
      }
      if (group.masters.length < view.partitions.length) throw restarted("an old master");
      return new OldNodes(group, ports);
    } catch (error) {
      group.close();
      throw error;
    }
  }

  /** Masters for this tool alone, and their replicas. No router may have the view from before any more. */
  async keep(): Promise<void> {
    await this.closeToClients();
    for (const master of this.#group.masters) {
      await master.socket.call("REPLICAOF", "NO", "ONE");
      await this.#group.attachReplicas(master);
    }
  }

  /** By partition. The caller closes them. */
  targets(): Promise<MoveTarget[]> {
    return this.#group.targets({ username: TOOL_USER, password: this.#password });
  }

  untilInSync(withinMs: number): Promise<void> {
    return this.#group.untilInSync(withinMs);
  }

  masters(): Promise<NewMaster[]> {
    return this.#group.newMasters();
  }

  /** Clients may write: just before the commit. */
  async openToClients(): Promise<void> {
    await this.#eachMaster((node) => this.#setUsers(node, OPEN));
  }

  /** Only this tool may write. */
  async closeToClients(): Promise<void> {
    const tool = ["reset", "on", `>${this.#password}`, "~*", "&*", "+@all"];
    await this.#eachMaster(async (node) => {
      await this.#setUsers(node, { ...CLOSED, tool });
      if (this.#ports.password === undefined) return;
      // Who had shown a password keeps its rights.
      for (const user of CLIENTS) await node.socket.call("CLIENT", "KILL", "USER", user);
    });
  }

  /** Detached as after the fence, with the rights of before. Never rejects; the connections end. */
  async release(): Promise<void> {
    const { password, tls, clock } = this.#ports;
    const access = { tls, clock, silenceMsMax: WITHIN_MS };
    const credentials = credentialsOf("monitor", password);
    const isMaster = (node: GroupNode): boolean => this.#group.masters.includes(node);
    await Promise.allSettled(
      this.#group.nodes.map(async (node) => {
        const { host, port } = node;
        // New ones: an interruption has ended the others.
        const socket = await openNodeSocket({ host, port }, { ...access, credentials });
        try {
          await socket.call("REPLICAOF", NOWHERE.host, NOWHERE.port);
          if (isMaster(node)) await this.#setUsers(node, { ...OPEN, tool: ["reset"] });
        } finally {
          socket.destroy();
        }
      }),
    );
    this.end();
  }

  /** They serve again: only the tool's user is removed. Never rejects. */
  async leave(): Promise<void> {
    await this.#eachMaster((node) => this.#setUsers(node, { ...OPEN, tool: ["reset"] })).catch(
      () => undefined,
    );
    this.end();
  }

  /** Ends the connections. */
  end(): void {
    this.#group.close();
  }

  async #eachMaster(task: (node: GroupNode) => Promise<void>): Promise<void> {
    await Promise.all(this.#group.masters.map(task));
  }

  /** Without a password every client is the user `default`, and so is this tool: it keeps the right to undo that. */
  async #setUsers({ name, host, port }: GroupNode, { tool, clients, unnamed }: Rights) {
    const { password, tls, clock } = this.#ports;
    const access = { tls, clock, silenceMsMax: WITHIN_MS };
    const credentials = credentialsOf("rotation", password);
    try {
      const socket = await openNodeSocket({ host, port }, { ...access, credentials });
      try {
        if (tool !== undefined) await socket.call("ACL", "SETUSER", TOOL_USER, ...tool);
        const users = password === undefined ? ["default"] : CLIENTS;
        const rule = password === undefined ? unnamed : clients;
        for (const user of users) await socket.call("ACL", "SETUSER", user, rule);
      } finally {
        socket.destroy();
      }
    } catch (error) {
      const message = `the rights on ${name} could not be changed: ${errorText(error)}`;
      const remedy = "see whether it runs, and whether it was set up by twine-setup";
      throw new TwineError({ code: "OLD_NODE_RIGHTS", message, remedy }, { cause: error });
    }
  }
}

/** The users that write keys (infra's acl.ts). */
const CLIENTS = ["app", "router"] as const;

interface Rights {
  readonly tool?: readonly string[];
  readonly clients: string;
  readonly unnamed: string;
}
const OPEN: Rights = { clients: "on", unnamed: "+@all" };
const CLOSED: Rights = { clients: "off", unnamed: "-@write" };

function restarted(node: string): TwineError {
  return new TwineError({
    code: "OLD_NODE_RESTARTED",
    message: `${node} was restarted since the resharding began: it may lack data`,
    remedy: "the new partitions serve on; to go back, run another resharding",
  });
}
