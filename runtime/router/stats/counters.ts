// counters.ts: what one router process counts, where it happens: columns for commands (tally.ts), plain numbers for
// the rest, which is counted once per chunk of bytes, batch, connection or view and never once per command.
import type { View } from "../../core/view.ts";
import { CommandTally } from "./tally.ts";

/** Of one data node, as this process sees it. */
export interface NodeCounters {
  readonly partition: number;
  /** Written to the node: what was sent again counts again, and so do the WAITs of ack-replicas. */
  requests: number;
  requestBytes: number;
  responseBytes: number;
  /** Written, and the connection ended before the reply. */
  lost: number;
  opened: number;
  /** Connections now. */
  connections: number;
  /** How connections ended: by the node, by an error, by silence. */
  eof: number;
  errors: number;
  timeouts: number;
  /** Times that it was master of its partition in one view and no more in the next. */
  ejects: number;
  /** When that was, the last time: microseconds since 1970. */
  ejectedAtUs: number;
}

/** How a connection ended: whoever closed it, or "ours" for the router itself. */
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
  /** Requests that no node answered: nothing was done, or nobody knows. */
  down = 0;
  uncertain = 0;
  readonly nodes = new Map<string, NodeCounters>();
  readonly #masters = new Map<number, string>();

  constructor(turn: { readonly nowMs: number }) {
    this.tally = new CommandTally(turn);
  }

  node(name: string, partition: number): NodeCounters {
    const known = this.nodes.get(name);
    if (known !== undefined) return known;
    const counters = noCounters(partition);
    this.nodes.set(name, counters);
    return counters;
  }

  /** A request is answered by the router itself, because no node did. */
  unserved(
    request: { readonly isRead: boolean; readonly unknownAt: string | undefined },
    isOvertaken = false,
  ): void {
    if (request.unknownAt === undefined || (request.isRead && !isOvertaken)) this.down++;
    else this.uncertain++;
  }

  /** Counts the masters that are masters no more. */
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

/** Also of one that never opened. */
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
