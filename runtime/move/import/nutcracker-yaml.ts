// nutcracker-yaml.ts: reads the YAML that nutcracker takes, and no more of YAML than that: pools, each with settings of one
// word and lists of words. Pure. A reader of our own, because every complaint has to name the line and the column.
//
//   alpha:                      a pool: a line that begins at the left edge
//     listen: 127.0.0.1:22121   a setting
//     hash_tag: "{}"            quoted
//     servers:                  a list
//      - 127.0.0.1:6379:1 one
//     servers: [127.0.0.1:6379:1 one, "127.0.0.1:6380:1 two"]
import type { Problem, SourceAt } from "../../core/errors.ts";

export interface YamlWord {
  readonly text: string;
  readonly at: SourceAt;
}

export interface YamlSetting {
  readonly key: YamlWord;
  /** Of a list: its items. */
  readonly value: YamlWord | readonly YamlWord[];
}

export interface YamlPool {
  readonly name: YamlWord;
  readonly settings: readonly YamlSetting[];
}

export interface YamlRead {
  readonly pools: readonly YamlPool[];
  readonly errors: readonly Problem[];
}

interface OpenSetting {
  readonly key: YamlWord;
  value: YamlWord | YamlWord[] | undefined;
}

interface OpenPool {
  readonly name: YamlWord;
  readonly settings: OpenSetting[];
}

export function readNutcrackerYaml(text: string, file: string): YamlRead {
  const errors: Problem[] = [];
  const pools: OpenPool[] = [];
  const complain = (at: SourceAt, message: string): void => {
    errors.push({ code: "YAML_UNREADABLE", message, at, remedy: SHAPE });
  };
  for (const [index, raw] of text
    .replace(/^\uFEFF/, "")
    .split(/\r\n|\n|\r/)
    .entries()) {
    const place = (column: number): SourceAt => ({ file, line: index + 1, column: column + 1 });
    const indent = /^ */.exec(raw)?.[0].length ?? 0;
    const line = withoutComment(raw).trimEnd();
    if (line.trim() === "" || line === "---" || line === "...") continue;
    if (line.slice(0, indent + 1).includes("\t")) {
      complain(place(indent), "a tab stands where YAML wants spaces");
      continue;
    }
    const pool = pools.at(-1);
    if (line.slice(indent).startsWith("- ") || line.trim() === "-") {
      readItem(line, indent, pool, place, complain);
      continue;
    }
    const found = /^("[^"]*"|'[^']*'|[^\s:]+)\s*:(?:\s+(.*))?$/.exec(line.slice(indent));
    if (found === null) {
      complain(place(indent), `'${line.trim().slice(0, 40)}' is no setting`);
      continue;
    }
    const [, rawKey = "", rawValue = ""] = found;
    const key: YamlWord = { text: unquoted(rawKey), at: place(indent) };
    if (indent === 0) {
      if (rawValue !== "") complain(key.at, `'${key.text}' stands where a pool's name is wanted`);
      else pools.push({ name: key, settings: [] });
      continue;
    }
    if (pool === undefined) {
      complain(key.at, `'${key.text}' stands before the name of any pool`);
      continue;
    }
    const at = place(line.length - rawValue.length);
    pool.settings.push({ key, value: valueOf(rawValue, at) });
  }
  return { pools: pools.map(closed), errors };
}

const SHAPE =
  "write it as nutcracker reads it: POOL: on a line of its own, and below it KEY: VALUE";

function readItem(
  line: string,
  indent: number,
  pool: OpenPool | undefined,
  place: (column: number) => SourceAt,
  complain: (at: SourceAt, message: string) => void,
): void {
  const setting = pool?.settings.at(-1);
  const body = line.slice(indent + 1);
  const text = body.trimStart();
  const at = place(line.length - text.length);
  if (setting === undefined || (setting.value !== undefined && !isList(setting.value))) {
    complain(place(indent), `'${line.trim().slice(0, 40)}' belongs to no list`);
    return;
  }
  const items = isList(setting.value) ? setting.value : [];
  items.push({ text: unquoted(text), at });
  setting.value = items;
}

function isList(value: YamlWord | YamlWord[] | undefined): value is YamlWord[] {
  return Array.isArray(value);
}

function valueOf(raw: string, at: SourceAt): YamlWord | YamlWord[] | undefined {
  if (raw === "") return undefined;
  if (!raw.startsWith("[") || !raw.endsWith("]")) return { text: unquoted(raw), at };
  const items: YamlWord[] = [];
  for (const found of raw.slice(1, -1).matchAll(/\s*("[^"]*"|'[^']*'|[^,]+)\s*(?:,|$)/g)) {
    const text = unquoted((found[1] ?? "").trim());
    if (text === "") continue;
    const lead = found[0].length - found[0].trimStart().length;
    items.push({ text, at: { ...at, column: at.column + 1 + found.index + lead } });
  }
  return items;
}

function closed({ name, settings }: OpenPool): YamlPool {
  return {
    name,
    settings: settings.map(({ key, value }) => ({ key, value: value ?? { text: "", at: key.at } })),
  };
}

/** A # begins a comment at the start of a line or behind a space, outside quotes. */
function withoutComment(line: string): string {
  let quote = "";
  for (let at = 0; at < line.length; at += 1) {
    const character = line.charAt(at);
    if (quote !== "") {
      if (character === quote) quote = "";
    } else if (character === '"' || character === "'") quote = character;
    else if (character === "#" && (at === 0 || /\s/.test(line.charAt(at - 1)))) {
      return line.slice(0, at);
    }
  }
  return line;
}

function unquoted(text: string): string {
  const quote = text.charAt(0);
  const isQuoted = text.length >= 2 && (quote === '"' || quote === "'") && text.endsWith(quote);
  return isQuoted ? text.slice(1, -1) : text;
}
