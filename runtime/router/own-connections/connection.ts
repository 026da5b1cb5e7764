// connection.ts: one connection to one partition's master that serves one client at a time.
//
//   pool -> lent to a transaction, a blocking command, a WAIT or a subscription -> clean: back to the pool; else destroyed
//
// Lanes are shared by all clients, so nothing may stay on them between two commands: no MULTI, no WATCH, no waiting. What
// needs that gets a connection of this kind. It asks in order and gives the replies of one question together; whoever
// holds it learns of its end, and of the moment when its node is no longer the partition's master.
import type { ConnectionIdentity } from "../../route/node-greeting.ts";
import {
  BackendConnection,
  type BackendOptions,
  type BackendTarget,
} from "../lanes/backend-connection.ts";
import type { NodeCounters } from "../stats/counters.ts";

/** Who holds a connection. */
export interface OwnHolder {
  /** Once, when it ended; what was asked and not answered has an unknown fate. */
  broken(cause: string): void;
  /** The partition has another master now, or none. */
  masterGone(): void;
}

/** Takes every frame as it comes, in place of the questions' replies; true only during the call. */
export type FrameTaker = (bytes: Buffer, start: number, end: number) => void;

interface Question {
  left: number;
  readonly replies: Buffer[];
  readonly done: (replies: readonly Buffer[]) => void;
}

export class OwnConnection {
  readonly target: BackendTarget;
  readonly partition: number;
  readonly protocol: 2 | 3;
  isOpen = false;
  holder: OwnHolder | undefined;
  /** Of a connection that is subscribed: pushes and replies alike. */
  onFrame: FrameTaker | undefined;
  readonly #backend: BackendConnection;
  readonly #questions: Question[] = [];
  readonly #counters: NodeCounters | undefined;

  constructor(
    target: BackendTarget,
    partition: number,
    options: BackendOptions,
    opened: (isOpen: boolean, cause: string) => void,
  ) {
    this.target = target;
    this.partition = partition;
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
        if (wasOpen) this.holder?.broken(cause);
        else opened(false, cause);
      },
    });
  }

  get identity(): ConnectionIdentity | undefined {
    return this.#backend.identity;
  }

  /** Something was asked and is not answered. */
  get isAsking(): boolean {
    return this.#questions.length > 0;
  }

  /** Sends whole commands; `done` gets their `count` replies, unless the connection breaks before. */
  ask(commands: Buffer, count: number, done: (replies: readonly Buffer[]) => void): void {
    this.#questions.push({ left: count, replies: [], done });
    this.#backend.write(commands);
  }

  /** Sends whole commands whose replies onFrame takes. */
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
    const [question] = this.#questions;
    if (question === undefined) {
      this.destroy("it sent a reply that nobody asked for");
      return;
    }
    if (this.#counters !== undefined) this.#counters.requests++;
    question.replies.push(Buffer.from(bytes.subarray(start, end)));
    if (--question.left > 0) return;
    this.#questions.shift();
    question.done(question.replies);
  }
}
