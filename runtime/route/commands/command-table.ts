// command-table.ts: the server's commands, parsed from the reply of COMMAND. Pure.
// Key positions come from the server and not from a fixed list, so that a newer server's commands are routed too.
// https://redis.io/docs/latest/commands/command/ and .../develop/reference/key-specs/
import { OLD_BLOCKING, OLD_KEYS, OLD_SUBCOMMANDS, type OldKeys } from "./before-seven.ts";
import { itemsOf, numberOf, textOf, type RespValue } from "../../resp/value.ts";

/** Where the search for keys begins. */
export type BeginSearch =
  | { readonly kind: "index"; readonly index: number }
  | { readonly kind: "keyword"; readonly keyword: string; readonly startFrom: number }
  | { readonly kind: "unknown" };

/** How the keys follow from there. */
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
  /** Lower case. A subcommand's is "object|encoding". */
  readonly name: string;
  /** Number of arguments including the name; negative: at least that many. */
  readonly arity: number;
  readonly flags: ReadonlySet<string>;
  readonly keys: readonly KeySpec[];
  /** By the subcommand's own name, lower case. */
  readonly subcommands: ReadonlyMap<string, CommandSpec>;
}

/** By name, lower case. */
export type CommandTable = ReadonlyMap<string, CommandSpec>;

/** Parses the reply of COMMAND, in RESP2 or RESP3. Unknown parts are skipped. */
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
  if (fields.length > 8) {
    const keys = itemsOf(fields[8]).map(keySpecOf);
    return { name, arity, flags, keys, subcommands: tableOf(itemsOf(fields[9])) };
  }
  // A server before 7.0 reports only a first key, a last key and a step.
  const keys = OLD_KEYS.get(name)?.map(oldKeySpec) ?? legacyKeys(fields);
  if (OLD_BLOCKING.has(name)) flags.add("blocking");
  return { name, arity, flags, keys, subcommands: oldSubcommands(name, flags) };
}

/** Subcommands inherit the command's flags. Their keys come from OLD_KEYS. */
function oldSubcommands(command: string, flags: ReadonlySet<string>): Map<string, CommandSpec> {
  const inherited = new Set([...flags].filter((flag) => flag !== "movablekeys"));
  const subcommands = Object.entries(OLD_SUBCOMMANDS.get(command) ?? {});
  return new Map(
    subcommands.map(([sub, arity]): [string, CommandSpec] => {
      const name = `${command}|${sub}`;
      const keys = (OLD_KEYS.get(name) ?? []).map(oldKeySpec);
      return [sub, { name, arity, flags: inherited, keys, subcommands: new Map() }];
    }),
  );
}

function oldKeySpec(old: OldKeys): KeySpec {
  const isIncomplete = false;
  switch (old.kind) {
    case "at": {
      const find: FindKeys = { kind: "range", lastKey: 0, keyStep: 1, limit: 0 };
      return { begin: { kind: "index", index: old.index }, find, isIncomplete };
    }
    case "counted": {
      const find: FindKeys = { kind: "keynum", keyNumIndex: 0, firstKey: 1, keyStep: 1 };
      return { begin: { kind: "index", index: old.index }, find, isIncomplete };
    }
    case "streams": {
      const { startFrom } = old;
      const find: FindKeys = { kind: "range", lastKey: -1, keyStep: 1, limit: 2 };
      return { begin: { kind: "keyword", keyword: "streams", startFrom }, find, isIncomplete };
    }
  }
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

/** A map, or the flat array of RESP2. */
function fieldsOf(value: RespValue | undefined): Map<string, RespValue> {
  const items = itemsOf(value);
  const fields = new Map<string, RespValue>();
  for (let index = 0; index + 1 < items.length; index += 2) {
    const [name, field] = [textOf(items[index]), items[index + 1]];
    if (name !== undefined && field !== undefined) fields.set(name, field);
  }
  return fields;
}
