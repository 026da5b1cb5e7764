// value.ts: a decoded reply of RESP2 or RESP3. Pure.
// One-line text is kept as latin1, so that every byte is preserved. Integers are bigint, because Redis's have 64 bits.

export type RespValue =
  | { readonly type: "simple"; readonly text: string }
  | { readonly type: "error"; readonly text: string }
  | { readonly type: "integer"; readonly value: bigint }
  | { readonly type: "bulk"; readonly bytes: Buffer }
  /** RESP2 has two nulls, for a bulk and for an array; RESP3 has its own. */
  | { readonly type: "null"; readonly of: "bulk" | "array" | "any" }
  | { readonly type: "array" | "set" | "push"; readonly items: readonly RespValue[] }
  | { readonly type: "map"; readonly entries: readonly (readonly [RespValue, RespValue])[] }
  | { readonly type: "boolean"; readonly value: boolean }
  /** As in the reply; may be inf, -inf or nan. */
  | { readonly type: "double"; readonly text: string }
  | { readonly type: "big"; readonly value: bigint }
  /** `format` is three characters, txt or mkd. */
  | { readonly type: "verbatim"; readonly format: string; readonly bytes: Buffer }
  | { readonly type: "bulk-error"; readonly bytes: Buffer };

/** The text of a bulk, status, error or double; undefined for all other types. */
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

/** The items of an array, set or push; a map's keys and values, alternating; empty for all other types. */
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
