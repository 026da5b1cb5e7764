// directives.ts: all settings of twine.conf in one table: form, parser, printer and default of each. Pure.
// Parser and printer are side by side, so that a printed setting parses to the same value.
import type { Settings } from "../cluster.ts";
import { BACKUP_DEFAULTS, BACKUP_DIRECTIVES } from "./backup-directives.ts";
import { reject } from "./complain.ts";
import {
  choice,
  count,
  duration,
  file,
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
import { SUPERVISOR_DEFAULTS, SUPERVISOR_DIRECTIVES } from "./supervisor-directives.ts";
import { ROUTER_DEFAULTS, ROUTER_DIRECTIVES } from "./router-directives.ts";
import { STACK_DEFAULTS, STACK_DIRECTIVES } from "./stack-directives.ts";

/** `partitions` 0 means "not set": parse.ts counts the partitions then. */
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
  ...BACKUP_DEFAULTS,
  alertMail: [],
  alertSmtp: "smtp://localhost:25",
  alertAfterMs: 30_000,
  httpHosts: [],
  ...ROUTER_DEFAULTS,
  ...SUPERVISOR_DEFAULTS,
  ...STACK_DEFAULTS,
});

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const hash: Directive = {
  name: "hash",
  shape: "HASH [DISTRIBUTION PART...]",
  repeats: false,
  words: { min: 1, max: PARTITION_MAX + 3 },
  read: (reading, words) => {
    const [word, distribution] = words;
    const found = parseHash(words.map(({ text: said }) => said).join(" "));
    if (typeof found === "string") {
      const isUnknown = distribution === undefined;
      const remedy = isUnknown
        ? `write one of ${BUILTIN_HASHES.join(", ")}; ` +
          "or ./FILE, with its folder, for a module or an executable of your own"
        : "write hash NAME, or as twine-import does: hash twemproxy-NAME ketama NAME:WEIGHT..., " +
          "hash twemproxy-NAME modula NAME:WEIGHT..., hash crc16 slots FROM-TO...";
      return reject(reading, distribution ?? word, "CONF_UNKNOWN_HASH", found, remedy);
    }
    if (found.kind === "builtin" || distribution === undefined) return { hash: found };
    const message = `hash ${word?.text ?? ""} takes nothing more, not '${distribution.text}'`;
    const remedy = "quote a path that holds a space";
    return reject(reading, distribution, "CONF_UNKNOWN_HASH", message, remedy);
  },
  print: ({ hash: said }) => [
    said.kind === "builtin"
      ? printHash(said).split(" ").map(printWord).join(" ")
      : printWord(printHash(said)),
  ],
};

const hashTag = single(
  "hash-tag",
  "XY",
  (reading, word) => {
    // Keys are bytes: only one-byte characters can be found without knowing the encoding.
    if (/^[\x20-\x7e]{2}$/.test(word.text)) return { hashTag: word.text };
    const message = `hash-tag takes exactly two ASCII characters, not '${word.text}'`;
    const remedy = "write the opening and the closing character, e.g. hash-tag {}";
    return reject(reading, word, "CONF_BAD_HASH_TAG", message, remedy);
  },
  ({ hashTag: tag }) => (tag === undefined ? [] : [printWord(tag)]),
);

/** A user name that is a mail address is written with %40. */
const SMTP_USER = "(?:(?:[A-Za-z0-9._~+-]|%[0-9A-Fa-f]{2})+@)?";
const SMTP_HOST = "(?:[A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\])";
const SMTP = new RegExp(`^smtps?://${SMTP_USER}${SMTP_HOST}(?::(\\d{1,5}))?/?$`);

/** SMTP's pattern also matches smtp://[1], which has no valid address, and a user %ff, which is not valid UTF-8. */
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
/** The name is used in keys, folders and volumes. Dots alone would name the parent folder. */
const NAME = {
  pattern: /^(?!\.+$)[A-Za-z0-9._-]{1,100}$/,
  remedy: "use 1 to 100 letters, digits, dots, underscores and hyphens, not dots alone",
};

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
  ...BACKUP_DIRECTIVES,
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
  list(
    "http-hosts",
    "NAME",
    {
      pattern: /^[A-Za-z0-9._-]+$/,
      remedy: "write one name without a port, as a browser's address line has it",
    },
    (s) => s.httpHosts,
    (httpHosts) => ({ httpHosts }),
  ),
  file(
    "http-token",
    (s) => s.httpToken,
    (httpToken) => ({ httpToken }),
  ),
  ...SUPERVISOR_DIRECTIVES,
  ...STACK_DIRECTIVES,
]);

export const DIRECTIVE_NAMES: readonly string[] = Object.freeze(
  DIRECTIVES.map((directive) => directive.name),
);
