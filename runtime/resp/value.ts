// value.ts: a decoded reply, RESP2 and RESP3 alike. Pure.
// Text of one line is kept as latin1, so that every byte survives; integers are bigint, since Redis's have 64 bits.

export type RespValue =
  | { readonly type: "simple"; readonly text: string }
  | { readonly type: "error"; readonly text: string }
  | { readonly type: "integer"; readonly value: bigint }
  | { readonly type: "bulk"; readonly bytes: Buffer }
  /** RESP2 has two nulls, of a bulk and of an array; RESP3 has one of its own. */
  | { readonly type: "null"; readonly of: "bulk" | "array" | "any" }
  | { readonly type: "array" | "set" | "push"; readonly items: readonly RespValue[] }
  | { readonly type: "map"; readonly entries: readonly (readonly [RespValue, RespValue])[] }
  | { readonly type: "boolean"; readonly value: boolean }
  /** As written: inf, -inf and nan are among them. */
  | { readonly type: "double"; readonly text: string }
  | { readonly type: "big"; readonly value: bigint }
  /** `format` is three characters, txt or mkd. */
  | { readonly type: "verbatim"; readonly format: string; readonly bytes: Buffer }
  | { readonly type: "bulk-error"; readonly bytes: Buffer };

/** The text of a bulk, status or error; undefined for everything else. */
export function textOf(value: RespValue | undefined): string | undefined {
  switch (value?.type) {
    case "simple":
    case "error":
    case "double":
      return value.text;
    case "bulk":
    case "verbatim":
    case "bulk-error":
      return value.bytes.toString("utf8");
    default:
      return undefined;
  }
}

/** The items of an array, set or push, or a map's keys and values in turn; none of anything else. */
export function itemsOf(value: RespValue | undefined): readonly RespValue[] {
  switch (value?.type) {
    case "array":
    case "set":
    case "push":
      return value.items;
    case "map":
      return value.entries.flat();
    default:
      return [];
  }
}

export function numberOf(value: RespValue | undefined): number | undefined {
  return value?.type === "integer" ? Number(value.value) : undefined;
}
