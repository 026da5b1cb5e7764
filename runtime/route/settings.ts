// settings.ts: the reply of CONFIG GET without the passwords in it. Pure.
// A router asks its nodes as a user of its own, who may see every setting. Its clients may not: what stands in masterauth
// opens every node to whoever has it, as a replica that gets all keys.
import { decodeReply } from "../resp/decode.ts";
import { encodeReply } from "../resp/encode.ts";
import { itemsOf, textOf, type RespValue } from "../resp/value.ts";

/** By the end of their names, so that those of a newer server are among them. */
const SECRET = /(pass|auth)$/i;
const HIDDEN: RespValue = { type: "bulk", bytes: Buffer.alloc(0) };

/** The same names and values, a password's value empty as it is where there is none. Errors stay as they are. */
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
