// connection.ts: one connection to one partition's master that serves one caller at a time.
//
//   pool -> lent to a blocking command, a WAIT or the subscriptions -> clean: back to the pool; else destroyed
//
// Lanes are shared by all callers, so nothing may stay on them between two commands. What waits or listens gets a connection
// of this kind. It asks in order and gives the replies of one question together; whoever holds it learns of its end, and
// of the moment when its node is no longer the partition's master.
import type { ConnectionIdentity } from "../../route/node-greeting.ts";
import { NodeConnection, type ConnectionOptions, type NodeTarget } from "../node-connection.ts";

/** Who holds a connection. */
export interface OwnHolder {
  /** Once, when it ended; what was asked and not answered has an unknown fate. */
  broken(cause: string): void;
  /** The partition has another master now, or none. */
  masterGone(): void;
}

interface Question {
  left: number;
  readonly replies: Buffer[];
  readonly done: (replies: readonly Buffer[]) => void;
}

export class OwnConnection {
  readonly target: NodeTarget;
  readonly partition: number;
  isOpen = false;
  holder: OwnHolder | undefined;
  /** Of a connection that is subscribed: takes messages and replies alike, in place of the questions. */
  onFrame: ((raw: Buffer) => void) | undefined;
  readonly #connection: NodeConnection;
  readonly #questions: Question[] = [];

  /** `opened` is called once: with undefined when it can be used, otherwise with the reason why not. */
  constructor(
    target: NodeTarget,
    partition: number,
    options: ConnectionOptions,
    opened: (why: string | undefined) => void,
  ) {
    this.target = target;
    this.partition = partition;
    this.#connection = new NodeConnection(target, options, {
      onReady: () => {
        this.isOpen = true;
        opened(undefined);
      },
      onReply: (raw) => {
        this.#receive(raw);
      },
      onClose: (cause) => {
        const wasOpen = this.isOpen;
        this.isOpen = false;
        if (wasOpen) this.holder?.broken(cause);
        else opened(cause);
      },
    });
  }

  get identity(): ConnectionIdentity | undefined {
    return this.#connection.identity;
  }

  /** Something was asked and is not answered. */
  get isAsking(): boolean {
    return this.#questions.length > 0;
  }

  /** Sends whole commands; `done` gets one reply for each, unless the connection breaks before. */
  ask(commands: readonly Buffer[], done: (replies: readonly Buffer[]) => void): void {
    this.#questions.push({ left: commands.length, replies: [], done });
    this.#connection.write(commands);
  }

  /** Sends a whole command whose replies onFrame takes. */
  write(command: Buffer): void {
    this.#connection.write([command]);
  }

  destroy(cause: string): void {
    this.#connection.destroy(cause);
  }

  #receive(raw: Buffer): void {
    if (this.onFrame !== undefined) {
      this.onFrame(raw);
      return;
    }
    const [question] = this.#questions;
    if (question === undefined) {
      this.destroy("it sent a reply that nobody asked for");
      return;
    }
    question.replies.push(raw);
    if (--question.left > 0) return;
    this.#questions.shift();
    question.done(question.replies);
  }
}
