// master-offsets.ts: the offsets of all masters, asked once a second over one connection each.
import type { HistoryMark } from "../../core/view.ts";
import { infoOf } from "../../replication/node-info.ts";
import { openNodeSocket, type NodeSocket } from "../../replication/node-socket.ts";
import type { MasterSample } from "./archive-lag.ts";
import type { RecordOptions } from "./record-partition.ts";

const CALL_MS_MAX = 2000;

export class MasterOffsets {
  readonly #options: RecordOptions;
  readonly #sockets: (NodeSocket | undefined)[];

  constructor(partitions: number, options: RecordOptions) {
    this.#options = options;
    this.#sockets = Array.from({ length: partitions }, () => undefined);
  }

  /** Never rejects: a master that does not answer is left out. */
  async sample(): Promise<MasterSample> {
    // What is written from now on is not in it.
    const atMs = this.#options.clock.nowMs();
    const marks = await Promise.all(
      this.#sockets.map((_, partition) => this.#of(partition).catch(() => undefined)),
    );
    return { atMs, marks };
  }

  close(): void {
    for (const socket of this.#sockets) socket?.destroy();
  }

  async #of(partition: number): Promise<HistoryMark | undefined> {
    const socket = this.#sockets[partition] ?? (await this.#open(partition));
    if (socket === undefined) return undefined;
    this.#sockets[partition] = socket;
    try {
      const info = await infoOf(socket, "replication");
      const [replicationId, offset] = [
        info.get("master_replid"),
        Number(info.get("master_repl_offset")),
      ];
      // It is master no more: the next one is asked next time.
      if (info.get("role") !== "master") throw new Error("it is not master any more");
      return replicationId === undefined ? undefined : { replicationId, offset };
    } catch (error) {
      socket.destroy();
      this.#sockets[partition] = undefined;
      throw error;
    }
  }

  async #open(partition: number): Promise<NodeSocket | undefined> {
    const { credentials, tls, clock, signal, sourcesNow } = this.#options;
    const master = (await sourcesNow(partition)).find(({ role }) => role === "master");
    if (master === undefined) return undefined;
    return openNodeSocket(master, { credentials, tls, clock, signal, silenceMsMax: CALL_MS_MAX });
  }
}
