// command-table.ts: what a redis-server says about its own commands, read from the reply of COMMAND. Pure.
// Key positions come from here and not from a list by hand, so that a newer server's commands route by themselves.
// https://redis.io/docs/latest/commands/command/ and .../develop/reference/key-specs/
import { itemsOf, numberOf, textOf, type RespValue } from "../resp/value.ts";

/** Where the search for keys begins. */
export type BeginSearch =
  | { readonly kind: "index"; readonly index: number }
  | { readonly kind: "keyword"; readonly keyword: string; readonly startFrom: number }
  | { readonly kind: "unknown" };

/** How keys follow from there. */
export type FindKeys =
  | {
      readonly kind: "range";
      readonly lastKey: number;
      readonly keyStep: number;
      readonly limit: number;
    }
  | {
      readonly kind: "keynum";
      readonly keyNumIndex: number;
      readonly firstKey: number;
      readonly keyStep: number;
    }
  | { readonly kind: "unknown" };

export interface KeySpec {
  readonly begin: BeginSearch;
  readonly find: FindKeys;
  /** There may be keys that it does not find. */
  readonly isIncomplete: boolean;
}

export interface CommandSpec {
  /** Lower case; a subcommand's is "object|encoding". */
  readonly name: string;
  /** Arguments with the name; negative: at least that many. */
  readonly arity: number;
  readonly flags: ReadonlySet<string>;
  readonly keys: readonly KeySpec[];
  /** By the subcommand's own name, lower case. */
  readonly subcommands: ReadonlyMap<string, CommandSpec>;
}

/** By name, lower case. */
export type CommandTable = ReadonlyMap<string, CommandSpec>;

/** The table in the reply of COMMAND, of RESP2 or RESP3. What is not understood is left out. */
export function parseCommandTable(reply: RespValue): CommandTable {
  return tableOf(itemsOf(reply));
}

function tableOf(items: readonly RespValue[]): Map<string, CommandSpec> {
  const table = new Map<string, CommandSpec>();
  for (const item of items) {
    const spec = specOf(itemsOf(item));
    if (spec !== undefined) table.set(spec.name.slice(spec.name.indexOf("|") + 1), spec);
  }
  return table;
}

function specOf(fields: readonly RespValue[]): CommandSpec | undefined {
  const name = textOf(fields[0])?.toLowerCase();
  const arity = numberOf(fields[1]);
  if (name === undefined || arity === undefined) return undefined;
  const flags = new Set(itemsOf(fields[2]).map((flag) => textOf(flag) ?? ""));
  // A server before 7.0 knows no key specs: its first key, last key and step say the same in short.
  const specs = fields.length > 8 ? itemsOf(fields[8]).map(keySpecOf) : legacyKeys(fields);
  return { name, arity, flags, keys: specs, subcommands: tableOf(itemsOf(fields[9])) };
}

function legacyKeys(fields: readonly RespValue[]): KeySpec[] {
  const first = numberOf(fields[3]) ?? 0;
  const last = numberOf(fields[4]) ?? 0;
  if (first === 0) return [];
  const lastKey = last < 0 ? last : last - first;
  const keyStep = numberOf(fields[5]) ?? 1;
  const isIncomplete = itemsOf(fields[2]).some((flag) => textOf(flag) === "movablekeys");
  const begin: BeginSearch = { kind: "index", index: first };
  return [{ begin, find: { kind: "range", lastKey, keyStep, limit: 0 }, isIncomplete }];
}

function keySpecOf(value: RespValue): KeySpec {
  const spec = fieldsOf(value);
  const flags = itemsOf(spec.get("flags")).map((flag) => textOf(flag)?.toLowerCase());
  return {
    begin: beginOf(spec.get("begin_search")),
    find: findOf(spec.get("find_keys")),
    isIncomplete: flags.includes("incomplete"),
  };
}

function beginOf(value: RespValue | undefined): BeginSearch {
  const type = textOf(fieldsOf(value).get("type"));
  const spec = fieldsOf(fieldsOf(value).get("spec"));
  if (type === "index") return { kind: "index", index: numberOf(spec.get("index")) ?? 0 };
  if (type !== "keyword") return { kind: "unknown" };
  const keyword = textOf(spec.get("keyword"))?.toLowerCase() ?? "";
  return { kind: "keyword", keyword, startFrom: numberOf(spec.get("startfrom")) ?? 1 };
}

function findOf(value: RespValue | undefined): FindKeys {
  const type = textOf(fieldsOf(value).get("type"));
  const spec = fieldsOf(fieldsOf(value).get("spec"));
  const keyStep = numberOf(spec.get("keystep")) ?? 1;
  if (type === "range") {
    const lastKey = numberOf(spec.get("lastkey")) ?? 0;
    return { kind: "range", lastKey, keyStep, limit: numberOf(spec.get("limit")) ?? 0 };
  }
  if (type !== "keynum") return { kind: "unknown" };
  const keyNumIndex = numberOf(spec.get("keynumidx")) ?? 0;
  return { kind: "keynum", keyNumIndex, firstKey: numberOf(spec.get("firstkey")) ?? 1, keyStep };
}

/** A map, or RESP2's flat array in its place. */
function fieldsOf(value: RespValue | undefined): Map<string, RespValue> {
  const items = itemsOf(value);
  const fields = new Map<string, RespValue>();
  for (let index = 0; index + 1 < items.length; index += 2) {
    const [name, field] = [textOf(items[index]), items[index + 1]];
    if (name !== undefined && field !== undefined) fields.set(name, field);
  }
  return fields;
}
