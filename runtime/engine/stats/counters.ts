// counters.ts: the counters of one router process: columns for commands (tally.ts), plain numbers for the rest, which is
// counted per chunk of bytes, batch, connection or view, never per command.
import type { View } from "../../core/view.ts";
import { CommandTally } from "./tally.ts";

/** The counters of one data node in this process. */
export interface NodeCounters {
  readonly partition: number;
  /** Requests written to the node. Retries count again, and so do the WAITs of ack-replicas. */
  requests: number;
  requestBytes: number;
  responseBytes: number;
  /** Requests whose connection ended before the reply. */
  lost: number;
  opened: number;
  /** Open connections. */
  connections: number;
  /** How connections ended: by the node, by an error, by a timeout. */
  eof: number;
  errors: number;
  timeouts: number;
  /** How often it was master in one view and not in the next. */
  ejects: number;
  /** Time of the last such change: microseconds since 1970. */
  ejectedAtUs: number;
}

/** How a connection ended; "ours": the router closed it. */
export type ConnectionEnd = "eof" | "error" | "timeout" | "ours";

export class RouterStats {
  readonly tally: CommandTally;
  clientsAccepted = 0;
  clientEof = 0;
  clientErrors = 0;
  receivedBytes = 0;
  sentBytes = 0;
  /** Parts of commands that were split over partitions. */
  fragments = 0;
  /** Requests without a node's reply: not executed, or unknown. */
  down = 0;
  uncertain = 0;
  readonly nodes = new Map<string, NodeCounters>();
  readonly #masters = new Map<number, string>();

  constructor(tick: { readonly nowMs: number }) {
    this.tally = new CommandTally(tick);
  }

  node(name: string, partition: number): NodeCounters {
    const known = this.nodes.get(name);
    if (known !== undefined) return known;
    const counters = noCounters(partition);
    this.nodes.set(name, counters);
    return counters;
  }

  /** Counts a request that the router itself answers because no node did. */
  unserved(
    request: { readonly isRead: boolean; readonly unknownAt: string | undefined },
    isOvertaken = false,
  ): void {
    if (request.unknownAt === undefined || (request.isRead && !isOvertaken)) this.down++;
    else this.uncertain++;
  }

  /** Counts nodes that are no longer master. */
  viewChanged(view: View | undefined, wallTime: string): void {
    for (const { index, master } of view?.partitions ?? []) {
      const before = this.#masters.get(index);
      if (before === master) continue;
      if (master === null) this.#masters.delete(index);
      else this.#masters.set(index, master);
      if (before === undefined) continue;
      const counters = this.node(before, index);
      counters.ejects++;
      counters.ejectedAtUs = Date.parse(wallTime) * 1000;
    }
  }
}

export function noCounters(partition: number): NodeCounters {
  const none = { requests: 0, requestBytes: 0, responseBytes: 0, lost: 0, opened: 0 };
  const ends = { eof: 0, errors: 0, timeouts: 0 };
  return { partition, ...none, connections: 0, ...ends, ejects: 0, ejectedAtUs: 0 };
}

export function connectionOpened(counters: NodeCounters): void {
  counters.opened++;
  counters.connections++;
}

/** Also for a connection that never opened. */
export function connectionEnded(
  counters: NodeCounters,
  end: ConnectionEnd,
  wasOpened: boolean,
): void {
  if (wasOpened) counters.connections--;
  if (end === "eof") counters.eof++;
  else if (end === "error") counters.errors++;
  else if (end === "timeout") counters.timeouts++;
}
