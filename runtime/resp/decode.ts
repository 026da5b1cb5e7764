// decode.ts: decodes one whole reply, as the scanner delimits it. Pure.
// Only for replies that Twine itself uses; replies to clients are passed on unchanged.
import { NESTING_MAX, RespError } from "./limits.ts";
import type { RespValue } from "./value.ts";

/** Decodes one whole reply; attributes are dropped. Throws RespError if `raw` is not exactly one reply. */
export function decodeReply(raw: Buffer): RespValue {
  const reader = new Reader(raw);
  const value = reader.value(0);
  if (reader.at !== raw.length) throw new RespError("more than one reply");
  return value;
}

class Reader {
  at = 0;
  readonly #raw: Buffer;

  constructor(raw: Buffer) {
    this.#raw = raw;
  }

  value(depth: number): RespValue {
    if (depth > NESTING_MAX) throw new RespError("reply is nested too deep");
    const type = String.fromCharCode(this.#raw[this.at] ?? 0);
    const line = this.#line();
    switch (type) {
      case "+":
        return { type: "simple", text: line };
      case "-":
        return { type: "error", text: line };
      case ":":
        return { type: "integer", value: bigOf(line) };
      case "(":
        return { type: "big", value: bigOf(line) };
      case ",":
        return { type: "double", text: line };
      case "_":
        if (line !== "") throw new RespError("invalid null");
        return { type: "null", of: "any" };
      case "#":
        if (line !== "t" && line !== "f") throw new RespError("invalid boolean");
        return { type: "boolean", value: line === "t" };
      case "$":
        if (line === "-1") return { type: "null", of: "bulk" };
        return { type: "bulk", bytes: this.#bulk(line) };
      case "!":
        return { type: "bulk-error", bytes: this.#bulk(line) };
      case "=":
        return this.#verbatim(line);
      default:
        return this.#aggregate(type, line, depth);
    }
  }

  #aggregate(type: string, line: string, depth: number): RespValue {
    if (type === "*" && line === "-1") return { type: "null", of: "array" };
    switch (type) {
      case "*":
        return { type: "array", items: this.#items(sizeOf(line), depth) };
      case "~":
        return { type: "set", items: this.#items(sizeOf(line), depth) };
      case ">":
        return { type: "push", items: this.#items(sizeOf(line), depth) };
      case "%":
        return { type: "map", entries: this.#entries(sizeOf(line), depth) };
      case "|":
        this.#entries(sizeOf(line), depth);
        return this.value(depth + 1);
      default:
        throw new RespError(`unknown reply type '${type}'`);
    }
  }

  #items(count: number, depth: number): RespValue[] {
    const items: RespValue[] = [];
    for (let index = 0; index < count; index++) items.push(this.value(depth + 1));
    return items;
  }

  #entries(count: number, depth: number): [RespValue, RespValue][] {
    const entries: [RespValue, RespValue][] = [];
    for (let index = 0; index < count; index++) {
      entries.push([this.value(depth + 1), this.value(depth + 1)]);
    }
    return entries;
  }

  #verbatim(line: string): RespValue {
    const bytes = this.#bulk(line);
    if (bytes.length < 4 || bytes[3] !== 58) throw new RespError("invalid verbatim string");
    return {
      type: "verbatim",
      format: bytes.toString("latin1", 0, 3),
      bytes: bytes.subarray(4),
    };
  }

  #line(): string {
    const end = this.#raw.indexOf("\r\n", this.at, "latin1");
    if (end === -1) throw new RespError("reply ends too early");
    const line = this.#raw.toString("latin1", this.at + 1, end);
    this.at = end + 2;
    return line;
  }

  #bulk(line: string): Buffer {
    const end = this.at + sizeOf(line);
    if (end + 2 > this.#raw.length) throw new RespError("reply ends too early");
    const bytes = this.#raw.subarray(this.at, end);
    this.at = end + 2;
    return bytes;
  }
}

function sizeOf(line: string): number {
  if (!/^\d{1,10}$/.test(line)) throw new RespError("invalid length");
  return Number(line);
}

function bigOf(line: string): bigint {
  if (!/^[+-]?\d+$/.test(line)) throw new RespError("invalid integer");
  return BigInt(line.startsWith("+") ? line.slice(1) : line);
}
