// directives.ts: every setting of twine.conf in one table: how it is written, read, printed, and
// its default. Pure.
// Reading and printing stand side by side, so that what is printed is read back
// as the same.
import type { Settings } from "../cluster.ts";
import { reject } from "./complain.ts";
import {
  choice,
  count,
  duration,
  list,
  single,
  size,
  text,
  type Directive,
} from "./directive-forms.ts";
import { BUILTIN_HASHES, parseHash, printHash } from "./hash-setting.ts";
import { printWord } from "./lines.ts";
import { PARTITION_MAX } from "./node-lines.ts";
import { readRedis } from "./redis-line.ts";
import { ROUTER_DEFAULTS, ROUTER_DIRECTIVES } from "./router-directives.ts";

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
  ...ROUTER_DEFAULTS,
});

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

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

/** A user that is itself an address is written with %40. */
const SMTP_USER = "(?:(?:[A-Za-z0-9._~+-]|%[0-9A-Fa-f]{2})+@)?";
const SMTP_HOST = "(?:[A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\])";
const SMTP = new RegExp(`^smtps?://${SMTP_USER}${SMTP_HOST}(?::(\\d{1,5}))?/?$`);

/** It has the form of one, and so has smtp://[1], which is no address, or a user %ff, which is no text. */
function isUrl(text: string): boolean {
  try {
    decodeURIComponent(new URL(text).username);
    return true;
  } catch {
    return false;
  }
}

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
    if (port >= 1 && port <= 65_535 && isUrl(word.text)) return { alertSmtp: word.text };
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
  size(
    "hold-bytes",
    [1024, 1024 ** 4],
    (s) => s.holdBytes,
    (bytes) => ({ holdBytes: bytes }),
  ),
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
  ...ROUTER_DIRECTIVES,
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
