// backup-directives.ts: the directives about backups. Pure.
import { isBackupPlace } from "../backup-place.ts";
import type { KeepRule, Settings } from "../cluster.ts";
import { reject } from "./complain.ts";
import { choice, duration, file, list, type Directive, quiet } from "./directive-forms.ts";

const SECOND_MS = 1000;
const DAY_MS = 86_400_000;
const COUNT_MAX = 100_000;
const PLACE = {
  pattern: { test: isBackupPlace },
  remedy: "write the path of a folder, or s3://BUCKET/PREFIX",
};

/** Rejects a key instead of a file's path. This is a likely mistake, and all users of the machine may read twine.conf. */
const KEY_FILE = {
  pattern: /^(?!age1|AGE-SECRET-KEY-|ssh-)./s,
  remedy: "write the path of a file, and the public key that age-keygen prints into that file",
};

export const BACKUP_DEFAULTS = {
  backupDirs: [],
  backupEveryMs: 3_600_000,
  backupKeep: { kind: "last", count: 24 },
  backupCompress: "none",
  backupArchive: "no",
  backupCutEveryMs: 10_000,
} as const satisfies Partial<Settings>;

const keep: Directive = {
  name: "backup-keep",
  shape: "N|Nh Nd Nw",
  repeats: false,
  words: { min: 1, max: 3 },
  read: (reading, args) => {
    const rule = parseKeep(args.map(({ text }) => text));
    if (rule !== undefined) return { backupKeep: rule };
    const message = `backup-keep can't be '${args.map(({ text }) => text).join(" ")}'`;
    const remedy =
      "write how many backups are kept, as in backup-keep 24; or how many hourly, daily and weekly ones, " +
      `as in backup-keep 24h 7d 4w; up to ${COUNT_MAX} of each`;
    return reject(reading, args[0], "CONF_BAD_VALUE", message, remedy);
  },
  print: ({ backupKeep }) => [printKeep(backupKeep)],
};

/** Parses `["24"]`, or some of `24h`, `7d` and `4w`, each at most once and at least one above 0. */
export function parseKeep(words: readonly string[]): KeepRule | undefined {
  const [first = ""] = words;
  if (words.length === 1 && /^\d{1,6}$/.test(first)) {
    const count = Number(first);
    return count >= 1 && count <= COUNT_MAX ? { kind: "last", count } : undefined;
  }
  const counts = new Map<string, number>();
  for (const word of words) {
    const [, digits = "", unit = ""] = /^(\d{1,6})([hdw])$/.exec(word) ?? [];
    const count = Number(digits);
    if (digits === "" || counts.has(unit) || count > COUNT_MAX) return undefined;
    counts.set(unit, count);
  }
  const [hours, days, weeks] = ["h", "d", "w"].map((unit) => counts.get(unit) ?? 0);
  const rule = { hours: hours ?? 0, days: days ?? 0, weeks: weeks ?? 0 };
  const isSome = rule.hours + rule.days + rule.weeks > 0;
  return isSome ? { kind: "periods", ...rule } : undefined;
}

export function printKeep(rule: KeepRule): string {
  if (rule.kind === "last") return String(rule.count);
  const { hours, days, weeks } = rule;
  const words = [
    [hours, "h"],
    [days, "d"],
    [weeks, "w"],
  ] as const;
  return words.flatMap(([count, unit]) => (count === 0 ? [] : [`${count}${unit}`])).join(" ");
}

export const BACKUP_DIRECTIVES: readonly Directive[] = [
  list(
    "backup-dir",
    "FOLDER|s3://BUCKET",
    PLACE,
    (s) => s.backupDirs,
    (dirs) => ({ backupDirs: dirs }),
  ),
  // Node's timers can't run longer than 24 days.
  duration(
    "backup-every",
    [SECOND_MS, 24 * DAY_MS],
    (s) => s.backupEveryMs,
    (ms) => ({ backupEveryMs: ms }),
  ),
  quiet(
    duration(
      "backup-rehearse",
      [60 * SECOND_MS, 365 * DAY_MS],
      (s) => s.backupRehearseMs ?? 0,
      (backupRehearseMs) => ({ backupRehearseMs }),
    ),
    (s) => s.backupRehearseMs === undefined,
  ),
  keep,
  quiet(
    choice(
      "backup-compress",
      ["none", "zstd"],
      (s) => s.backupCompress,
      (backupCompress) => ({ backupCompress }),
    ),
    (s) => s.backupCompress === BACKUP_DEFAULTS.backupCompress,
  ),
  quiet(
    choice(
      "backup-archive",
      ["no", "yes"],
      (s) => s.backupArchive,
      (backupArchive) => ({ backupArchive }),
    ),
    (s) => s.backupArchive === BACKUP_DEFAULTS.backupArchive,
  ),
  quiet(
    duration(
      "backup-cut-every",
      [SECOND_MS, DAY_MS],
      (s) => s.backupCutEveryMs,
      (ms) => ({ backupCutEveryMs: ms }),
    ),
    (s) => s.backupCutEveryMs === BACKUP_DEFAULTS.backupCutEveryMs,
  ),
  file(
    "backup-key",
    (s) => s.backupKey,
    (backupKey) => ({ backupKey }),
    KEY_FILE,
  ),
];
