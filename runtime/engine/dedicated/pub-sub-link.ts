// pub-sub-link.ts: one client's subscriptions in one partition, on a dedicated connection. It is reopened at a new master.
//
//   wanted { channel a, pattern p* }  --SUBSCRIBE a, PSUBSCRIBE p*-->  master         messages -> the client
//                                     repeated when the connection broke or another node became master
//
// The node confirms each name, in the order of the requests; `done` is called after the last name of a request. Messages of
// names that are no longer subscribed are dropped. A PING every 15 s detects a dead connection that no RST closed.
import { encodeCommand } from "../../resp/encode.ts";
import type { DedicatedConnection } from "./connection.ts";
import type { DedicatedPool } from "./pool.ts";
import {
  readPush,
  SUBSCRIBE_WORDS,
  UNSUBSCRIBE_WORDS,
  type Push,
  type Topic,
} from "../../route/session/pub-sub-frames.ts";

const PING = encodeCommand(["PING"]);
const MINUS = 45;
const PING_EVERY_MS = 15_000;
const TOPICS: readonly Topic[] = ["channel", "pattern", "shard"];

interface Asked {
  left: number;
  readonly isSubscribe: boolean;
  /** Called with the error's text when the node refused it. */
  readonly done: (refusal: string | undefined) => void;
}

export type MessageTaker = (push: Push, bytes: Buffer, start: number, end: number) => void;

export class PubSubLink {
  readonly #partition: number;
  readonly #pool: DedicatedPool;
  readonly #onMessage: MessageTaker;
  readonly #wanted: Readonly<Record<Topic, Set<string>>> = {
    channel: new Set(),
    pattern: new Set(),
    shard: new Set(),
  };
  #asked: Asked[] = [];
  #connection: DedicatedConnection | undefined;
  #cancelAcquire: (() => void) | undefined;
  #endPing: (() => void) | undefined;
  #isAlive = true;

  constructor(partition: number, pool: DedicatedPool, onMessage: MessageTaker) {
    this.#partition = partition;
    this.#pool = pool;
    this.#onMessage = onMessage;
  }

  get isEmpty(): boolean {
    return TOPICS.every((topic) => this.#wanted[topic].size === 0);
  }

  /** `done` is called when the node has confirmed all names, however long there is no master. */
  subscribe(topic: Topic, names: readonly string[], done: Asked["done"]): void {
    for (const name of names) this.#wanted[topic].add(name);
    this.#ask(SUBSCRIBE_WORDS[topic], names, true, done);
    if (this.#connection === undefined) this.#open();
  }

  unsubscribe(topic: Topic, names: readonly string[], done: Asked["done"]): void {
    for (const name of names) this.#wanted[topic].delete(name);
    if (this.#connection === undefined) done(undefined);
    else this.#ask(UNSUBSCRIBE_WORDS[topic], names, false, done);
  }

  close(): void {
    this.#cancelAcquire?.();
    this.#cancelAcquire = undefined;
    this.#endPing?.();
    this.#asked = [];
    for (const topic of TOPICS) this.#wanted[topic].clear();
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection !== undefined) this.#pool.destroy(connection, "its client has unsubscribed");
  }

  #ask(word: string, names: readonly string[], isSubscribe: boolean, done: Asked["done"]): void {
    this.#asked.push({ left: names.length, isSubscribe, done });
    this.#connection?.write(commandOf(word, names));
  }

  #open(): void {
    if (this.#cancelAcquire !== undefined) return;
    this.#cancelAcquire = this.#pool.acquire({
      ...{ partition: this.#partition, protocol: 3, isRead: true, bytes: 0, holdMs: undefined },
      ready: (connection) => {
        // ready() may run before acquire() has returned.
        this.#cancelAcquire = undefined;
        this.#begin(connection);
      },
      failed: () => {
        this.#cancelAcquire = undefined;
      },
      // pub-sub.ts then subscribes everything again.
      moved: () => {
        this.#cancelAcquire = undefined;
      },
    });
    if (this.#connection !== undefined) this.#cancelAcquire = undefined;
  }

  /** Subscribes all names again. The last confirmation ends all outstanding requests. */
  #begin(connection: DedicatedConnection): void {
    this.#connection = connection;
    this.#isAlive = true;
    connection.owner = {
      onBroken: () => {
        this.#leave(connection, "it broke");
      },
      onMasterChange: () => {
        this.#leave(connection, "its node is not the master any more");
      },
    };
    connection.onFrame = (bytes, start, end) => {
      this.#take(bytes, start, end);
    };
    const waiting = this.#asked;
    this.#asked = [];
    for (const topic of TOPICS) {
      const names = [...this.#wanted[topic]];
      if (names.length === 0) continue;
      this.#ask(SUBSCRIBE_WORDS[topic], names, true, () => undefined);
    }
    const last = this.#asked.pop();
    if (last === undefined) for (const { done } of waiting) done(undefined);
    else {
      const done: Asked["done"] = (refusal) => {
        for (const one of waiting) one.done(refusal);
      };
      this.#asked.push({ ...last, done });
    }
    this.#pingLater();
  }

  #leave(connection: DedicatedConnection, cause: string): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    this.#endPing?.();
    this.#pool.destroy(connection, cause);
    const ended = this.#asked.filter(({ isSubscribe }) => !isSubscribe);
    this.#asked = this.#asked.filter(({ isSubscribe }) => isSubscribe);
    for (const { done } of ended) done(undefined);
    if (!this.isEmpty) this.#open();
  }

  #take(bytes: Buffer, start: number, end: number): void {
    const push = readPush(bytes, start, end);
    if (push?.is === "message") {
      if (this.#wanted[push.topic].has(push.name)) this.#onMessage(push, bytes, start, end);
    } else if (push !== undefined) {
      this.#confirmed();
    } else if (bytes[start] === MINUS) {
      // Only a whole SUBSCRIBE can be refused here, by the nodes' ACL.
      this.#asked.shift()?.done(bytes.toString("utf8", start + 1, end - 2));
    } else {
      this.#isAlive = true;
    }
  }

  #confirmed(): void {
    const [asked] = this.#asked;
    if (asked === undefined || --asked.left > 0) return;
    this.#asked.shift();
    asked.done(undefined);
  }

  #pingLater(): void {
    this.#endPing?.();
    this.#endPing = this.#pool.context.clock.after(PING_EVERY_MS, () => {
      const connection = this.#connection;
      if (connection === undefined) return;
      if (!this.#isAlive) {
        this.#leave(connection, "it is silent");
        return;
      }
      this.#isAlive = false;
      connection.write(PING);
      this.#pingLater();
    });
  }
}

function commandOf(word: string, names: readonly string[]): Buffer {
  return encodeCommand([word, ...names.map((name) => Buffer.from(name, "latin1"))]);
}
