// encode.ts: encodes commands and replies. Pure.
import type { RespValue } from "./value.ts";

export type Protocol = 2 | 3;

const CRLF = "\r\n";

/** A command as an array of bulks, the form that all clients send. */
export function encodeCommand(args: readonly (Buffer | string)[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${args.length}${CRLF}`)];
  for (const arg of args) parts.push(bulk(typeof arg === "string" ? Buffer.from(arg) : arg));
  return Buffer.concat(parts);
}

/** A reply in the client's protocol. RESP2 has no maps, sets, doubles or booleans: it gets Redis's replacements. */
export function encodeReply(value: RespValue, protocol: Protocol): Buffer {
  switch (value.type) {
    case "simple":
      return Buffer.from(`+${oneLine(value.text)}${CRLF}`, "latin1");
    case "error":
      return Buffer.from(`-${oneLine(value.text)}${CRLF}`, "latin1");
    case "integer":
      return Buffer.from(`:${value.value}${CRLF}`);
    case "bulk":
      return bulk(value.bytes);
    case "null":
      if (protocol === 3 && value.of === "any") return Buffer.from(`_${CRLF}`);
      return Buffer.from(value.of === "array" ? `*-1${CRLF}` : `$-1${CRLF}`);
    case "array":
    case "set":
    case "push":
      return aggregate(sign(value.type, protocol), value.items.length, value.items, protocol);
    case "map": {
      const count = protocol === 3 ? value.entries.length : value.entries.length * 2;
      return aggregate(protocol === 3 ? "%" : "*", count, value.entries.flat(), protocol);
    }
    case "boolean":
      if (protocol === 2) return Buffer.from(`:${value.value ? 1 : 0}${CRLF}`);
      return Buffer.from(`#${value.value ? "t" : "f"}${CRLF}`);
    case "double":
      if (protocol === 2) return bulk(Buffer.from(value.text, "latin1"));
      return Buffer.from(`,${oneLine(value.text)}${CRLF}`, "latin1");
    case "big":
      if (protocol === 2) return bulk(Buffer.from(String(value.value)));
      return Buffer.from(`(${value.value}${CRLF}`);
    case "verbatim":
      if (protocol === 2) return bulk(value.bytes);
      return bulk(Buffer.concat([Buffer.from(`${value.format}:`, "latin1"), value.bytes]), "=");
    case "bulk-error":
      if (protocol === 3) return bulk(value.bytes, "!");
      return Buffer.from(`-${oneLine(value.bytes.toString("latin1"))}${CRLF}`, "latin1");
  }
}

function sign(type: "array" | "set" | "push", protocol: Protocol): string {
  if (protocol === 2 || type === "array") return "*";
  return type === "set" ? "~" : ">";
}

function aggregate(
  type: string,
  count: number,
  items: readonly RespValue[],
  protocol: Protocol,
): Buffer {
  const parts = items.map((item) => encodeReply(item, protocol));
  return Buffer.concat([Buffer.from(`${type}${count}${CRLF}`), ...parts]);
}

/** `bytes` with a length before them; `type` is $ for a plain bulk. */
export function bulk(bytes: Buffer, type = "$"): Buffer {
  return Buffer.concat([Buffer.from(`${type}${bytes.length}${CRLF}`), bytes, Buffer.from(CRLF)]);
}

/** Replaces newlines: inside a status or an error they would begin another reply. */
function oneLine(text: string): string {
  return text.replaceAll(/[\r\n]/g, " ");
}

/** The reply `-text`. */
export function errorReply(text: string): Buffer {
  return Buffer.from(`-${oneLine(text)}${CRLF}`);
}

export const OK_REPLY: Buffer = Buffer.from(`+OK${CRLF}`);
