// pub-sub-frames.ts: reads and writes the protocol's frames of subscriptions. Pure.
//
//   >3 $7 message $2 ch $5 hello          >4 $8 pmessage $2 c* $2 ch $5 hello          >3 $9 subscribe $2 ch :1
//
// RESP2 has the same frames with * in place of >. Names are kept as latin1 text, so that every byte is preserved.
// https://redis.io/docs/latest/develop/pubsub/
import { bulk, type Protocol } from "../../resp/encode.ts";

/** A plain channel, a pattern, or a channel of SSUBSCRIBE. */
export type Topic = "channel" | "pattern" | "shard";

export const SUBSCRIBE_WORDS: Readonly<Record<Topic, string>> = {
  channel: "subscribe",
  pattern: "psubscribe",
  shard: "ssubscribe",
};
export const UNSUBSCRIBE_WORDS: Readonly<Record<Topic, string>> = {
  channel: "unsubscribe",
  pattern: "punsubscribe",
  shard: "sunsubscribe",
};

/** By the first word of a push frame. */
const PUSHES: ReadonlyMap<string, readonly [is: "message" | "confirmed", topic: Topic]> = new Map([
  ["message", ["message", "channel"]],
  ["pmessage", ["message", "pattern"]],
  ["smessage", ["message", "shard"]],
  ["subscribe", ["confirmed", "channel"]],
  ["psubscribe", ["confirmed", "pattern"]],
  ["ssubscribe", ["confirmed", "shard"]],
  ["unsubscribe", ["confirmed", "channel"]],
  ["punsubscribe", ["confirmed", "pattern"]],
  ["sunsubscribe", ["confirmed", "shard"]],
]);

export interface Push {
  /** A message, or a node's confirmation that a subscription began or ended. */
  readonly is: "message" | "confirmed";
  readonly topic: Topic;
  /** The subscription's name, as latin1. */
  readonly name: string;
}

const LF = 10;
const ZERO = 48;

/** Parses the first two elements of a push frame; undefined if it is of another kind. */
export function readPush(bytes: Buffer, start: number, end: number): Push | undefined {
  const wordAt = bytes.indexOf(LF, start) + 1;
  const word = bulkAt(bytes, wordAt, end);
  const known = PUSHES.get(word.text);
  if (known === undefined) return undefined;
  const [is, topic] = known;
  return { is, topic, name: bulkAt(bytes, word.end, end).text };
}

/** The bulk string that begins at `at`, and the start of the next element. */
function bulkAt(bytes: Buffer, at: number, end: number): { text: string; end: number } {
  const from = bytes.indexOf(LF, at) + 1;
  let size = 0;
  for (let place = at + 1; place < from - 2; place++) size = size * 10 + (bytes[place] ?? 0) - ZERO;
  const to = Math.min(from + Math.max(size, 0), end);
  return { text: bytes.toString("latin1", from, to), end: to + 2 };
}

/** The frame that confirms a subscription or its end; `count` is the number of subscriptions after it. */
export function confirmation(
  word: string,
  name: string | undefined,
  count: number,
  protocol: Protocol,
): Buffer {
  const nobody = Buffer.from(protocol === 3 ? "_\r\n" : "$-1\r\n");
  return Buffer.concat([
    Buffer.from(protocol === 3 ? ">3\r\n" : "*3\r\n"),
    bulk(Buffer.from(word)),
    name === undefined ? nobody : bulk(Buffer.from(name, "latin1")),
    Buffer.from(`:${count}\r\n`),
  ]);
}

/** The reply to PING on a subscribed RESP2 connection. */
export function subscribedPong(message: Buffer | undefined): Buffer {
  return Buffer.concat([Buffer.from("*2\r\n$4\r\npong\r\n"), bulk(message ?? Buffer.alloc(0))]);
}
