// connection.ts: one connection to one partition's master that serves one client at a time.
//
//   pool -> borrowed by a transaction, blocking command, WAIT or subscription -> clean: back to the pool; else destroyed
//
// All clients share the pipelines, so no state may remain on them between two commands: no MULTI, no WATCH, no blocking
// command. Commands that need such state use a connection of this kind. Requests are answered in order, each with all its
// replies together. The owner is notified when the connection ends and when its node is no longer the partition's master.
import type { Routing } from "../../core/routing.ts";
import type { ConnectionIdentity } from "../../route/session/node-greeting.ts";
import {
  BackendConnection,
  type BackendOptions,
  type BackendTarget,
} from "../pipelines/backend-connection.ts";
import type { NodeCounters } from "../stats/counters.ts";

/** The callbacks of whoever has borrowed the connection. */
export interface ConnectionOwner {
  /** Called once, when the connection has ended. Requests without a reply have an unknown outcome. */
  onBroken(cause: string): void;
  /** The partition has another master, or none. */
  onMasterChange(): void;
}

/** Takes every frame instead of the requests' callbacks; the bytes are valid only during the call. */
export type FrameTaker = (bytes: Buffer, start: number, end: number) => void;

interface PendingReplies {
  left: number;
  readonly replies: Buffer[];
  readonly done: (replies: readonly Buffer[]) => void;
}

export class DedicatedConnection {
  readonly target: BackendTarget;
  readonly partition: number;
  /** The routing that `partition` belongs to. */
  readonly routing: Routing;
  readonly protocol: 2 | 3;
  isOpen = false;
  owner: ConnectionOwner | undefined;
  /** Called once, when the socket is closed. */
  onEnd: (() => void) | undefined;
  /** Set while the connection is subscribed: takes pushes and replies. */
  onFrame: FrameTaker | undefined;
  readonly #backend: BackendConnection;
  readonly #pending: PendingReplies[] = [];
  readonly #counters: NodeCounters | undefined;

  constructor(
    target: BackendTarget,
    { partition, routing }: { readonly partition: number; readonly routing: Routing },
    options: BackendOptions,
    opened: (isOpen: boolean, cause: string) => void,
  ) {
    this.target = target;
    this.partition = partition;
    this.routing = routing;
    this.protocol = options.protocol;
    this.#counters = options.counters;
    this.#backend = new BackendConnection(target, options, {
      onReady: () => {
        this.isOpen = true;
        opened(true, "");
      },
      onReply: (bytes, start, end) => {
        this.#receive(bytes, start, end);
      },
      onPush: (bytes, start, end) => {
        this.onFrame?.(bytes, start, end);
      },
      onClose: (cause) => {
        const wasOpen = this.isOpen;
        this.isOpen = false;
        this.onEnd?.();
        if (wasOpen) this.owner?.onBroken(cause.reason);
        else opened(false, cause.reason);
      },
    });
  }

  get identity(): ConnectionIdentity | undefined {
    return this.#backend.identity;
  }

  /** Some request has no reply yet. */
  get hasPendingReplies(): boolean {
    return this.#pending.length > 0;
  }

  /** Sends whole commands. `done` gets their `count` replies; it is not called when the connection breaks before. */
  request(commands: Buffer, count: number, done: (replies: readonly Buffer[]) => void): void {
    this.#pending.push({ left: count, replies: [], done });
    this.#backend.write(commands);
  }

  /** Sends whole commands; onFrame takes their replies. */
  write(commands: Buffer): void {
    this.#backend.write(commands);
  }

  destroy(cause: string): void {
    this.#backend.destroy(cause);
  }

  #receive(bytes: Buffer, start: number, end: number): void {
    if (this.onFrame !== undefined) {
      this.onFrame(bytes, start, end);
      return;
    }
    const [pending] = this.#pending;
    if (pending === undefined) {
      this.destroy("it sent a reply that nobody asked for");
      return;
    }
    if (this.#counters !== undefined) this.#counters.requests++;
    pending.replies.push(Buffer.from(bytes.subarray(start, end)));
    if (--pending.left > 0) return;
    this.#pending.shift();
    pending.done(pending.replies);
  }
}
