// engine-host.ts: one engine shared by several clients: opened by the first, closed after the last.
//
//   client.connect() --join--> opened engine --ready--> its clients     client's end --leave--> closed after the last
import type { View } from "../core/view.ts";
import type { Engine } from "../engine/engine.ts";

/** The events of a host for its clients, with their arguments. */
export interface HostEvents {
  /** TwineClient: a new view of the cluster. */
  view: [view: View];
  /** A partition has a new master. Has node names. */
  failover: [change: { readonly partition: number; readonly from: string; readonly to: string }];
  /** Requests of a partition are buffered because it can't be served. Reported once per outage. */
  held: [wait: { readonly partition: number; readonly why: string }];
  /** An error outside of any command. */
  error: [error: Error];
}

export type Report = <K extends keyof HostEvents>(event: K, ...args: HostEvents[K]) => void;

export interface OpenedEngine {
  /** Rejects with an error that waiting can't resolve. */
  readonly ready: Promise<Engine>;
  readonly view: View | undefined;
  /** The partition of a key; "later" if its hash is not synchronous. */
  partitionOf(key: Buffer): number | "later";
  /** Why commands are still buffered. */
  whyNotReady(): Error;
  close(): Promise<void>;
}

export interface HostClient {
  report: Report;
}

export class EngineHost {
  readonly holdForMs: number;
  readonly #open: (report: Report) => OpenedEngine;
  readonly #clients = new Set<HostClient>();
  #opened: OpenedEngine | undefined;

  constructor(holdForMs: number, open: (report: Report) => OpenedEngine) {
    this.holdForMs = holdForMs;
    this.#open = open;
  }

  get opened(): OpenedEngine | undefined {
    return this.#opened;
  }

  join(client: HostClient): OpenedEngine {
    this.#clients.add(client);
    this.#opened ??= this.#open((event, ...args) => {
      for (const one of [...this.#clients]) one.report(event, ...args);
    });
    return this.#opened;
  }

  async leave(client: HostClient): Promise<void> {
    if (!this.#clients.delete(client) || this.#clients.size > 0) return;
    const opened = this.#opened;
    this.#opened = undefined;
    await opened?.close();
  }
}
