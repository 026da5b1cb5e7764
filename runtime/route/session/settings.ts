// settings.ts: removes passwords from the reply of CONFIG GET. Pure.
// The router's own user on the nodes may read every setting; the router's clients may not. With masterauth a client could
// log in to every node as a replica and get all keys.
import { decodeReply } from "../../resp/decode.ts";
import { encodeReply } from "../../resp/encode.ts";
import { itemsOf, textOf, type RespValue } from "../../resp/value.ts";

/** By suffix, so that the settings of newer servers match too. */
const SECRET = /(pass|auth)$/i;
const HIDDEN: RespValue = { type: "bulk", bytes: Buffer.alloc(0) };

/** The same reply with empty passwords, as if none were set. Errors are returned unchanged. */
export function withoutSecrets(reply: Buffer): Buffer {
  const value = decodeReply(reply);
  if (value.type !== "map" && value.type !== "array") return reply;
  const items = itemsOf(value);
  const shown = items.map((item, index) =>
    index % 2 === 1 && SECRET.test(textOf(items[index - 1]) ?? "") ? HIDDEN : item,
  );
  if (value.type === "array") return encodeReply({ type: "array", items: shown }, 2);
  const entries = shown.flatMap((item, index): [RespValue, RespValue][] =>
    index % 2 === 0 ? [[item, shown[index + 1] ?? HIDDEN]] : [],
  );
  return encodeReply({ type: "map", entries }, 3);
}
