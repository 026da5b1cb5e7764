// subscription-link.ts: one client's subscriptions in one partition, on a connection of its own that outlives its masters.
//
//   wanted { channel a, pattern p* }  --SUBSCRIBE a, PSUBSCRIBE p*-->  master         messages -> the client
//                                     again, when the connection broke or another node became master
//
// Confirmations come in the order of what was asked, one for each name; whoever asked hears when the last of theirs has
// come. What is no longer wanted is dropped when it still arrives. The node is asked for a sign of life now and then: a
// connection that only this client has lost would otherwise stay silent for ever.
// https://redis.io/docs/latest/develop/pubsub/
import { encodeCommand } from "../../resp/encode.ts";
import {
  readPush,
  SUBSCRIBE_WORDS,
  UNSUBSCRIBE_WORDS,
  type Push,
  type Topic,
} from "../../route/pub-sub-frames.ts";
import { isError } from "../../route/split.ts";
import type { OwnConnection } from "./connection.ts";
import type { OwnConnectionPool } from "./pool.ts";

const PING = encodeCommand(["PING"]);
const PING_EVERY_MS = 15_000;
const TOPICS: readonly Topic[] = ["channel", "pattern", "shard"];

interface Asked {
  left: number;
  readonly isSubscribe: boolean;
  /** With an error's text when the node refused it. */
  readonly done: (refusal: string | undefined) => void;
}

export type TakeMessage = (push: Push, raw: Buffer) => void;

export class SubscriptionLink {
  readonly #partition: number;
  readonly #pool: OwnConnectionPool;
  readonly #onMessage: TakeMessage;
  readonly #wanted: Readonly<Record<Topic, Set<string>>> = {
    channel: new Set(),
    pattern: new Set(),
    shard: new Set(),
  };
  #asked: Asked[] = [];
  #connection: OwnConnection | undefined;
  #takeBack: (() => void) | undefined;
  #endPing: (() => void) | undefined;
  #isAlive = true;

  constructor(partition: number, pool: OwnConnectionPool, onMessage: TakeMessage) {
    this.#partition = partition;
    this.#pool = pool;
    this.#onMessage = onMessage;
  }

  get isEmpty(): boolean {
    return TOPICS.every((topic) => this.#wanted[topic].size === 0);
  }

  /** `done` runs when the node has confirmed all names, however long there is no master. */
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
    this.#takeBack?.();
    this.#takeBack = undefined;
    this.#endPing?.();
    for (const topic of TOPICS) this.#wanted[topic].clear();
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection !== undefined) this.#pool.end(connection, "nothing is subscribed there", true);
    // What was asked and then taken back: nobody shall wait for it.
    for (const { done } of this.#asked.splice(0)) done(undefined);
  }

  #ask(word: string, names: readonly string[], isSubscribe: boolean, done: Asked["done"]): void {
    this.#asked.push({ left: names.length, isSubscribe, done });
    this.#connection?.write(commandOf(word, names));
  }

  #open(): void {
    if (this.#takeBack !== undefined) return;
    this.#takeBack = this.#pool.take({
      ...{ partition: this.#partition, isRead: true, bytes: 0, holdMs: undefined },
      ready: (connection) => {
        // The wish may be granted before take() has answered.
        this.#takeBack = undefined;
        this.#begin(connection);
      },
      failed: () => {
        this.#takeBack = undefined;
      },
    });
    if (this.#connection !== undefined) this.#takeBack = undefined;
  }

  /** All that is wanted is asked anew: the last of its confirmations answers everyone who waits. */
  #begin(connection: OwnConnection): void {
    this.#connection = connection;
    this.#isAlive = true;
    connection.holder = {
      broken: () => {
        this.#leave(connection, "it broke");
      },
      masterGone: () => {
        this.#leave(connection, "its node is not the master any more");
      },
    };
    connection.onFrame = (raw) => {
      this.#take(raw);
    };
    const waiting = this.#asked;
    this.#asked = [];
    const answer: Asked["done"] = (refusal) => {
      for (const { done } of waiting) done(refusal);
    };
    const wanted = TOPICS.filter((topic) => this.#wanted[topic].size > 0);
    wanted.forEach((topic, index) => {
      const isLast = index === wanted.length - 1;
      const names = [...this.#wanted[topic]];
      this.#ask(SUBSCRIBE_WORDS[topic], names, true, isLast ? answer : () => undefined);
    });
    if (wanted.length === 0) answer(undefined);
    this.#pingLater();
  }

  #leave(connection: OwnConnection, cause: string): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    this.#endPing?.();
    this.#pool.end(connection, cause, true);
    const ended = this.#asked.filter(({ isSubscribe }) => !isSubscribe);
    this.#asked = this.#asked.filter(({ isSubscribe }) => isSubscribe);
    for (const { done } of ended) done(undefined);
    if (!this.isEmpty) this.#open();
  }

  #take(raw: Buffer): void {
    const push = isError(raw) ? undefined : readPush(raw, 0, raw.length);
    this.#isAlive = true;
    if (push?.is === "message") {
      if (this.#wanted[push.topic].has(push.name)) this.#onMessage(push, raw);
    } else if (push !== undefined) {
      const [asked] = this.#asked;
      if (asked === undefined || --asked.left > 0) return;
      this.#asked.shift();
      asked.done(undefined);
    } else if (isError(raw) && this.#asked[0]?.isSubscribe === true) {
      // A SUBSCRIBE is refused as a whole: by an ACL of the nodes' own.
      this.#asked.shift()?.done(raw.toString("utf8", 1, raw.length - 2));
    }
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
