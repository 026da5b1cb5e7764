// redis-values.ts: compares a running node's settings with its redis.conf. Pure.
// CONFIG GET has its own format (sizes in bytes, lists in one line). A value whose format is uncertain counts as equal:
// operators would stop reading warnings if every start gave a false one.

const UNITS: Readonly<Record<string, number>> = {
  b: 1,
  k: 1000,
  kb: 1024,
  m: 1000 ** 2,
  mb: 1024 ** 2,
  g: 1000 ** 3,
  gb: 1024 ** 3,
};

/** Lists over several lines, and settings with their own order or spelling. */
const UNCERTAIN =
  /^(client-output-buffer-limit|notify-keyspace-events|oom-score-adj-values|latency-tracking-info-percentiles|loadmodule|rename-command|include|user|tls-.*|enable-.*|.*-cpulist|server_cpulist|bio_cpulist|aof_rewrite_cpulist|bgsave_cpulist)$/;

export interface RedisLine {
  readonly name: string;
  readonly words: readonly string[];
}

/** The directives of a redis.conf, in order. Names are in lower case. */
export function parseRedisConf(text: string): RedisLine[] {
  return text.split("\n").flatMap((line) => {
    const trimmed = line.trim();
    if (trimmed === "" || trimmed.startsWith("#")) return [];
    const [name = "", ...words] = splitWords(trimmed);
    return [{ name: name.toLowerCase(), words }];
  });
}

/** Name -> the value in the file, for settings that can be compared. Lines of `save` add up. */
export function wantedSettings(
  lines: readonly RedisLine[],
  isTwines: (name: string) => boolean,
): Map<string, string> {
  const wanted = new Map<string, string>();
  for (const { name, words } of lines) {
    if (isTwines(name) || UNCERTAIN.test(name)) continue;
    const value = words.join(" ");
    const before = wanted.get(name) ?? "";
    const addsUp = name === "save" && before !== "" && value !== "";
    wanted.set(name, addsUp ? `${before} ${value}` : value);
  }
  return wanted;
}

/** Whether the value from CONFIG GET means the same as the value in the file. */
export function isSameValue(wanted: string, actual: string): boolean {
  return canonical(wanted) === canonical(actual);
}

/** A setting whose value on the running node differs from redis.conf. */
export interface SettingDifference {
  readonly setting: string;
  readonly wanted: string;
  readonly actual: string;
}

/** `actual`: the reply of CONFIG GET. Settings that the node does not know are skipped. */
export function differingSettings(
  wanted: ReadonlyMap<string, string>,
  actual: ReadonlyMap<string, string>,
): SettingDifference[] {
  return [...wanted].flatMap(([setting, value]) => {
    const has = actual.get(setting);
    if (has === undefined || isSameValue(value, has)) return [];
    return [{ setting, wanted: value, actual: has }];
  });
}

const SHOWN = 5;
const SHOWN_CHARS_MAX = 80;

/** "maxmemory is 0, not 256mb; ..." */
export function settingWords(differing: readonly SettingDifference[]): string {
  const shown = differing
    .slice(0, SHOWN)
    .map(
      ({ setting, wanted, actual }) =>
        `${setting} is ${shownValue(actual)}, not ${shownValue(wanted)}`,
    );
  const more = differing.length - SHOWN;
  return more > 0 ? `${shown.join("; ")}; and ${more} more` : shown.join("; ");
}

function shownValue(value: string): string {
  if (value === "") return '""';
  return value.length > SHOWN_CHARS_MAX ? `${value.slice(0, SHOWN_CHARS_MAX)}...` : value;
}

/** Splits a line into words as redis.conf's own splitter does (sdssplitargs). */
function splitWords(line: string): string[] {
  const words = line.matchAll(/"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^\s"']\S*)/g);
  return [...words].map(([, double, single, bare]) => {
    if (double !== undefined) return unescaped(double);
    return single === undefined ? (bare ?? "") : single.replaceAll("\\'", "'");
  });
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", b: "\b", a: "\x07" };

function unescaped(text: string): string {
  return text.replace(
    /\\(?:x([0-9a-fA-F]{2})|(.))/g,
    (_, hex: string | undefined, character = "") =>
      hex === undefined
        ? (ESCAPES[String(character)] ?? String(character))
        : String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

function canonical(value: string): string {
  const lower = value.trim().replace(/\s+/g, " ").toLowerCase();
  const [, number, unit = "b"] = /^(\d+)(b|kb?|mb?|gb?)?$/.exec(lower) ?? [];
  return number === undefined ? lower : String(Number(number) * (UNITS[unit] ?? 1));
}
