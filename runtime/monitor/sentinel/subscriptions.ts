// subscriptions.ts: the subscriptions of one client, and the bytes that it gets. Pure.
// https://redis.io/docs/latest/develop/pubsub/: replies and messages are pushes in RESP3, arrays in RESP2.
import { encodeReply, errorReply, type Protocol } from "../../resp/encode.ts";
import type { RespValue } from "../../resp/value.ts";
import type { SentinelMessage } from "./events.ts";
import { matchesGlob } from "../../core/glob.ts";

export type SubscriptionCommand = "subscribe" | "psubscribe" | "unsubscribe" | "punsubscribe";

/** Sentinel has about forty channels; a client with more subscriptions than this is faulty or hostile. */
const SUBSCRIPTIONS_MAX = 1024;

const TOO_MANY = errorReply(
  `ERR twine: more than ${SUBSCRIPTIONS_MAX} subscriptions of one client`,
);

export function isSubscriptionCommand(name: string): name is SubscriptionCommand {
  return ["subscribe", "psubscribe", "unsubscribe", "punsubscribe"].includes(name);
}

export class Subscriptions {
  // Names are stored as latin1, which keeps every byte.
  readonly #channels = new Set<string>();
  readonly #patterns = new Set<string>();

  get count(): number {
    return this.#channels.size + this.#patterns.size;
  }

  clear(): void {
    this.#channels.clear();
    this.#patterns.clear();
  }

  /** One reply for each name. Without names (p)unsubscribe means all subscriptions, and replies at least once. */
  change(command: SubscriptionCommand, names: readonly Buffer[], protocol: Protocol): Buffer {
    const set = command.startsWith("p") ? this.#patterns : this.#channels;
    const texts = names.map((name) => name.toString("latin1"));
    if (command === "subscribe" || command === "psubscribe") {
      const replies = texts.map((text) => {
        if (!set.has(text) && this.count >= SUBSCRIPTIONS_MAX) return TOO_MANY;
        set.add(text);
        return this.#reply(command, text, protocol);
      });
      return Buffer.concat(replies);
    }
    const given = texts.length > 0 ? texts : [...set];
    if (given.length === 0) return this.#reply(command, undefined, protocol);
    const replies = given.map((text) => {
      set.delete(text);
      return this.#reply(command, text, protocol);
    });
    return Buffer.concat(replies);
  }

  /** The bytes for a message: once for its channel, once for each pattern that matches. */
  hear({ channel, message }: SentinelMessage, protocol: Protocol): Buffer {
    const heard: Buffer[] = [];
    const push = (...words: string[]): void => {
      heard.push(encodeReply({ type: "push", items: words.map(latin1Bulk) }, protocol));
    };
    if (this.#channels.has(channel)) push("message", channel, message);
    for (const pattern of this.#patterns) {
      if (matchesGlob(pattern, channel)) push("pmessage", pattern, channel, message);
    }
    return Buffer.concat(heard);
  }

  #reply(command: SubscriptionCommand, name: string | undefined, protocol: Protocol): Buffer {
    const shown: RespValue = name === undefined ? { type: "null", of: "any" } : latin1Bulk(name);
    const count: RespValue = { type: "integer", value: BigInt(this.count) };
    return encodeReply({ type: "push", items: [latin1Bulk(command), shown, count] }, protocol);
  }
}

function latin1Bulk(text: string): RespValue {
  return { type: "bulk", bytes: Buffer.from(text, "latin1") };
}
