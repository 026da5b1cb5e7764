// directives.ts: every setting of twine.conf in one table: how it is written, read, printed, and
// its default. Pure.
// Reading and printing stand side by side, so that what is printed is read back
// as the same.
import type { Settings } from "../cluster.ts";
import { readNumber, reject, type Reading } from "./complain.ts";
import { parseDuration, printDuration } from "./durations.ts";
import { BUILTIN_HASHES, parseHash, printHash } from "./hash-setting.ts";
import { printWord, type Word } from "./lines.ts";
import { PARTITION_MAX } from "./node-lines.ts";
import { readRedis } from "./redis-line.ts";
import { parseSize, printSize } from "./sizes.ts";
import { didYouMean } from "./suggest.ts";

export interface Directive {
  readonly name: string;
  /** What stands behind the name, e.g. "DURATION". */
  readonly shape: string;
  readonly repeats: boolean;
  /** How many words may follow the name. */
  readonly words: { readonly min: number; readonly max: number };
  /** What these arguments set, or null after a complaint. `settings` is what holds so far. */
  read(reading: Reading, args: readonly Word[], settings: Settings): Partial<Settings> | null;
  /**
   * The arguments that set what holds: one string for each line; none when there is nothing to say.
   */
  print(settings: Settings): readonly string[];
}

/** `partitions` 0 stands for "not said": parse.ts counts then. */
export const DEFAULT_SETTINGS: Settings = Object.freeze<Settings>({
  cluster: "twine",
  partitions: 0,
  hash: { kind: "builtin", name: "crc32" },
  redis: [],
  downAfterMs: 1_000,
  leaseMs: 500,
  ackReplicas: 0,
  ackTimeoutMs: 1_000,
  readFrom: "master",
  holdForMs: 10_000,
  holdBytes: 64 * 1024 ** 2,
  retryUnknown: "reads",
  workers: 1,
  backupDirs: [],
  backupEveryMs: 3_600_000,
  backupKeep: 24,
  alertMail: [],
  alertSmtp: "smtp://localhost:25",
  alertAfterMs: 30_000,
});

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

type Limits = readonly [min: number, max: number];
type Set<T> = (value: T) => Partial<Settings>;
type Get<T> = (settings: Settings) => T;

const ONE = Object.freeze({ min: 1, max: 1 });

function single(
  name: string,
  shape: string,
  read: (reading: Reading, word: Word, settings: Settings) => Partial<Settings> | null,
  print: Directive["print"],
  repeats = false,
): Directive {
  return {
    name,
    shape,
    repeats,
    words: ONE,
    read: (reading, [word], settings) =>
      word === undefined ? null : read(reading, word, settings),
    print,
  };
}

function duration(name: string, limits: Limits, get: Get<number>, set: Set<number>): Directive {
  const [min, max] = limits;
  const read = (reading: Reading, word: Word): Partial<Settings> | null => {
    const ms = parseDuration(word.text);
    if (ms !== undefined && ms >= min && ms <= max) return set(ms);
    const message =
      ms === undefined
        ? `'${word.text}' is no duration for ${name}`
        : `${name} ${word.text} is not from ${printDuration(min)} to ${printDuration(max)}`;
    const remedy = "write a whole number and its unit: 500ms, 1s, 10m, 1h, 1d";
    return reject(reading, word, "CONF_BAD_DURATION", message, remedy);
  };
  return single(name, "DURATION", read, (settings) => [printDuration(get(settings))]);
}

function count(name: string, limits: Limits, get: Get<number>, set: Set<number>): Directive {
  const [min, max] = limits;
  const read = (reading: Reading, word: Word): Partial<Settings> | null => {
    const value = readNumber(reading, word, { what: name, min, max, remedy: `write ${name} N` });
    return value === null ? null : set(value);
  };
  return single(name, "N", read, (settings) => [String(get(settings))]);
}

function choice<T extends string>(
  name: string,
  choices: readonly T[],
  get: Get<T>,
  set: Set<T>,
): Directive {
  const read = (reading: Reading, word: Word): Partial<Settings> | null => {
    const found = choices.find((known) => known === word.text);
    if (found !== undefined) return set(found);
    const message = `${name} can't be '${word.text}'${didYouMean(word.text, choices)}`;
    return reject(
      reading,
      word,
      "CONF_BAD_VALUE",
      message,
      `write ${name} ${choices.join(" or ")}`,
    );
  };
  return single(name, choices.join("|"), read, (settings) => [get(settings)]);
}

/** A text of a certain form; `remedy` says which. */
function text(
  name: string,
  shape: string,
  form: { readonly pattern: RegExp; readonly remedy: string },
  get: Get<string>,
  set: Set<string>,
): Directive {
  const read = (reading: Reading, word: Word): Partial<Settings> | null => {
    if (form.pattern.test(word.text)) return set(word.text);
    const message = `${name} can't be '${word.text}'`;
    return reject(reading, word, "CONF_BAD_VALUE", message, form.remedy);
  };
  return single(name, shape, read, (settings) => [printWord(get(settings))]);
}

/** A directive that may be repeated, each time with another text. */
function list(
  name: string,
  shape: string,
  form: { readonly pattern: RegExp; readonly remedy: string },
  get: Get<readonly string[]>,
  set: Set<readonly string[]>,
): Directive {
  const read = (reading: Reading, word: Word, so: Settings): Partial<Settings> | null => {
    if (get(so).includes(word.text)) {
      const message = `${name} ${word.text} is given twice`;
      return reject(reading, word, "CONF_DIRECTIVE_TWICE", message, "keep one of the two lines");
    }
    if (form.pattern.test(word.text)) return set([...get(so), word.text]);
    const message = `${name} can't be '${word.text}'`;
    return reject(reading, word, "CONF_BAD_VALUE", message, form.remedy);
  };
  return single(name, shape, read, (settings) => get(settings).map(printWord), true);
}

const hash = single(
  "hash",
  "HASH",
  (reading, word) => {
    const found = parseHash(word.text);
    if (typeof found !== "string") return { hash: found };
    const remedy =
      `write one of ${BUILTIN_HASHES.join(", ")}; ` +
      "or ./FILE, with its folder, for a module or an executable of your own";
    return reject(reading, word, "CONF_UNKNOWN_HASH", found, remedy);
  },
  (settings) => [printWord(printHash(settings.hash))],
);

const hashTag = single(
  "hash-tag",
  "XY",
  (reading, word) => {
    // Keys are bytes: only characters of one byte can be looked for without knowing their encoding.
    if (/^[\x20-\x7e]{2}$/.test(word.text)) return { hashTag: word.text };
    const message = `hash-tag wants exactly two ASCII characters, not '${word.text}'`;
    const remedy = "write the opening and the closing character, e.g. hash-tag {}";
    return reject(reading, word, "CONF_BAD_HASH_TAG", message, remedy);
  },
  ({ hashTag: tag }) => (tag === undefined ? [] : [printWord(tag)]),
);

const holdBytes = single(
  "hold-bytes",
  "SIZE",
  (reading, word) => {
    const bytes = parseSize(word.text);
    if (bytes !== undefined && bytes >= 1024 && bytes <= 1024 ** 4) return { holdBytes: bytes };
    const message =
      bytes === undefined
        ? `'${word.text}' is no size for hold-bytes`
        : `hold-bytes ${word.text} is not from 1kb to 1tb`;
    const remedy = "write a whole number and its unit as Redis does: 512kb, 64mb, 1gb";
    return reject(reading, word, "CONF_BAD_SIZE", message, remedy);
  },
  (settings) => [printSize(settings.holdBytes)],
);

/** A user that is itself an address is written with %40. */
const SMTP_USER = "(?:(?:[A-Za-z0-9._~+-]|%[0-9A-Fa-f]{2})+@)?";
const SMTP_HOST = "(?:[A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\])";
const SMTP = new RegExp(`^smtps?://${SMTP_USER}${SMTP_HOST}(?::(\\d{1,5}))?/?$`);

const alertSmtp = single(
  "alert-smtp",
  "URL",
  (reading, word) => {
    if (/:\/\/.*:.*@/.test(word.text)) {
      const message = "alert-smtp holds a password, and secrets never stand in twine.conf";
      const remedy =
        "write smtp://USER@HOST:PORT, and let TWINE_SMTP_PASSWORD_FILE name the password's file";
      return reject(reading, word, "CONF_SECRET", message, remedy);
    }
    const form = SMTP.exec(word.text);
    const port = form === null ? 0 : Number(form[1] ?? 25);
    if (port >= 1 && port <= 65_535) return { alertSmtp: word.text };
    const message = `alert-smtp can't be '${word.text}'`;
    return reject(reading, word, "CONF_BAD_VALUE", message, "write alert-smtp smtp://HOST:PORT");
  },
  (settings) => [printWord(settings.alertSmtp)],
);

const redis: Directive = {
  name: "redis",
  shape: "NAME VALUE...",
  repeats: true,
  words: { min: 1, max: 1_000 },
  read: readRedis,
  print: (settings) => settings.redis.map(({ name, value }) => `${name} ${value}`),
};

const MAIL = { pattern: /^[^\s@,;<>"]+@[^\s@,;<>"]+$/, remedy: "write one address, NAME@DOMAIN" };
const NAME = {
  pattern: /^[A-Za-z0-9._-]{1,100}$/,
  remedy: "use 1 to 100 letters, digits, dots, underscores and hyphens",
};
const FOLDER = { pattern: /./, remedy: "write the path of a folder" };

/** In the order in which they are printed and documented. */
export const DIRECTIVES: readonly Directive[] = Object.freeze([
  text(
    "cluster",
    "NAME",
    NAME,
    (s) => s.cluster,
    (cluster) => ({ cluster }),
  ),
  count(
    "partitions",
    [1, PARTITION_MAX + 1],
    (s) => s.partitions,
    (n) => ({ partitions: n }),
  ),
  hash,
  hashTag,
  redis,
  duration(
    "down-after",
    [50, HOUR_MS],
    (s) => s.downAfterMs,
    (ms) => ({ downAfterMs: ms }),
  ),
  duration(
    "lease",
    [50, 60 * SECOND_MS],
    (s) => s.leaseMs,
    (ms) => ({ leaseMs: ms }),
  ),
  count(
    "ack-replicas",
    [0, 100],
    (s) => s.ackReplicas,
    (n) => ({ ackReplicas: n }),
  ),
  duration(
    "ack-timeout",
    [1, HOUR_MS],
    (s) => s.ackTimeoutMs,
    (ms) => ({ ackTimeoutMs: ms }),
  ),
  choice(
    "read-from",
    ["master", "replica"],
    (s) => s.readFrom,
    (readFrom) => ({ readFrom }),
  ),
  duration(
    "hold-for",
    [0, HOUR_MS],
    (s) => s.holdForMs,
    (ms) => ({ holdForMs: ms }),
  ),
  holdBytes,
  choice(
    "retry-unknown",
    ["reads", "idempotent"],
    (s) => s.retryUnknown,
    (retryUnknown) => ({ retryUnknown }),
  ),
  count(
    "workers",
    [1, 256],
    (s) => s.workers,
    (workers) => ({ workers }),
  ),
  list(
    "backup-dir",
    "FOLDER",
    FOLDER,
    (s) => s.backupDirs,
    (dirs) => ({ backupDirs: dirs }),
  ),
  // No timer of Node runs longer than 24 days.
  duration(
    "backup-every",
    [SECOND_MS, 24 * DAY_MS],
    (s) => s.backupEveryMs,
    (ms) => ({ backupEveryMs: ms }),
  ),
  count(
    "backup-keep",
    [1, 100_000],
    (s) => s.backupKeep,
    (n) => ({ backupKeep: n }),
  ),
  list(
    "alert-mail",
    "ADDRESS",
    MAIL,
    (s) => s.alertMail,
    (mails) => ({ alertMail: mails }),
  ),
  alertSmtp,
  duration(
    "alert-after",
    [0, 7 * DAY_MS],
    (s) => s.alertAfterMs,
    (ms) => ({ alertAfterMs: ms }),
  ),
]);

export const DIRECTIVE_NAMES: readonly string[] = Object.freeze(
  DIRECTIVES.map((directive) => directive.name),
);
