// client-options.ts: checks the options of a client before anything is opened. Pure.
//
//   the given options -> every problem, each with the option, its value and the allowed values -> one TwineError
//
// TypeScript does not check programs in JavaScript, or options from files. Without this check a NaN or an unknown name
// would show much later, as a timer that fires at once or a setting without effect.
import { didYouMean } from "../core/conf/suggest.ts";
import { TwineError, type Problem } from "../core/errors.ts";
import type { RedisOptions } from "ioredis";

/** A check of one option; `words` describes the allowed values. */
interface Rule {
  readonly allows: (value: unknown) => boolean;
  readonly words: string;
  /** Never show its value. */
  readonly isSecret?: boolean;
  /** For an option of ioredis that has no meaning here: the reason, and what to do instead. */
  readonly refused?: readonly [reason: string, remedy: string];
}

export type OptionRules = Readonly<Record<string, Rule>>;

const HOUR_MS = 3_600_000;

const isText: Rule = { allows: (value) => typeof value === "string", words: "a string" };
const isObject: Rule = {
  allows: (value) => typeof value === "object" && value !== null && !Array.isArray(value),
  words: "an object",
};

function isMs(min: number): Rule {
  const words = `a number of milliseconds from ${min} to ${HOUR_MS}`;
  return { allows: (value) => isWithin(value, min, HOUR_MS), words };
}

function isOneOf(...choices: readonly string[]): Rule {
  const words = choices.map((choice) => `"${choice}"`).join(" or ");
  return { allows: (value) => choices.some((choice) => choice === value), words };
}

function isCount(min: number, max: number, what: string): Rule {
  const words = `${what} from ${min} to ${max}`;
  return { allows: (value) => Number.isInteger(value) && isWithin(value, min, max), words };
}

function isWithin(value: unknown, min: number, max: number): boolean {
  return typeof value === "number" && value >= min && value <= max;
}

/** Options with ioredis's meaning. Three are accepted but always have a fixed value: see engine-redis.ts. */
const IOREDIS_OPTIONS = [
  ...["commandTimeout", "blockingTimeout", "blockingTimeoutGrace", "retryStrategy"],
  ...["reconnectOnError", "autoResubscribe", "connectionName", "disableClientInfo"],
  ...["clientInfoTag", "keyPrefix", "showFriendlyErrorStack", "stringNumbers", "protocol"],
  ...["replyMapping", "enableAutoPipelining", "autoPipeliningIgnoredCommands", "lazyConnect"],
  ...["enableOfflineQueue", "scripts", "noDelay", "keepAlive", "connectTimeout"],
  ...["disconnectTimeout", "maxLoadingRetryTime"],
  ...["enableReadyCheck", "maxRetriesPerRequest", "autoResendUnfulfilledCommands"],
] as const;
export type IoredisOption = (typeof IOREDIS_OPTIONS)[number];

const NO_ADDRESS = [
  "the nodes are those of the cluster, by its view",
  "leave it out; the client's own options say where the cluster is",
] as const;
const NO_SENTINEL = [
  "there are no sentinels: the client follows the view",
  "leave it out",
] as const;

const REFUSED_OPTIONS: Readonly<Record<string, Rule["refused"]>> = {
  ...Object.fromEntries(["host", "port", "path", "family"].map((name) => [name, NO_ADDRESS])),
  ...Object.fromEntries(
    ["sentinels", "name", "role", "sentinelPassword", "sentinelUsername", "sentinelTLS"]
      .concat(["sentinelRetryStrategy", "sentinelReconnectStrategy", "failoverDetector"])
      .concat(["preferredSlaves", "enableTLSForSentinelMode", "updateSentinels", "natMap"])
      .map((name) => [name, NO_SENTINEL]),
  ),
  db: ["a partition has one database, and it is 0 here", "leave it out; keyPrefix parts keys"],
  socketTimeout: [
    "a blocking command may be silent for as long as it waits",
    "give commandTimeout or blockingTimeout",
  ],
  readOnly: ["READONLY is Redis Cluster's", 'give readFrom: "replica"'],
  monitor: ["MONITOR shows one node only", "connect an ioredis Redis to that node"],
  himportFieldsets: ["HIMPORT prepares one connection to one node", "leave it out"],
  Connector: ["the client brings its own", "leave it out"],
};

/** The options of both clients, with the limits of twine.conf's directives. */
const COMMON: OptionRules = {
  ...Object.fromEntries(
    IOREDIS_OPTIONS.map((name) => [name, { allows: () => true, words: "what ioredis takes" }]),
  ),
  ...Object.fromEntries(
    Object.entries(REFUSED_OPTIONS).map(([name, refused]) => [
      name,
      { allows: () => false, words: "", refused },
    ]),
  ),
  password: { ...isText, isSecret: true },
  tls: {
    ...isObject,
    words: "an object as node:tls takes it, {} for its defaults",
    isSecret: true,
  },
  readFrom: isOneOf("master", "replica"),
  holdForMs: isMs(0),
  holdBytes: isCount(0, 1024 ** 4, "a whole number of bytes"),
  retryUnknown: isOneOf("reads", "idempotent"),
};

/** The options of TwineClient. readClientConf checks those that name the cluster, with the same problems. */
export const TWINE_RULES: OptionRules = {
  ...COMMON,
  conf: {
    allows: (value) => typeof value === "string" && value !== "",
    words: "the path of a twine.conf as a string (of a URL: fileURLToPath(url))",
  },
  confText: isText,
  statusNodes: {
    allows: (value) => Array.isArray(value) && value.length > 0,
    words: 'a list of one or more addresses: ["db1.example.com:6399", ...]',
  },
  cluster: {
    allows: (value) => typeof value === "string" && value !== "",
    words: "the cluster's name as its twine.conf has it",
  },
  ackReplicas: isCount(0, 100, "a whole number"),
  ackTimeoutMs: isMs(1),
  log: isObject,
};

/** The options of RedCluster. */
export const RED_RULES: OptionRules = { ...COMMON, username: isText, downAfterMs: isMs(1) };

const CODE = "CLIENT_OPTION_BAD";

/** All problems of the options, in order. An option with the value undefined counts as absent. */
export function optionProblems(options: unknown, rules: OptionRules): Problem[] {
  if (!isObject.allows(options)) {
    return [
      {
        code: CODE,
        message: `the options are ${shown(options)}`,
        remedy: `give an object with some of ${namesOf(rules).join(", ")}`,
      },
    ];
  }
  return Object.entries(options as object).flatMap(([name, value]: [string, unknown]) => {
    if (value === undefined) return [];
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
    if (rule?.refused !== undefined) {
      const [reason, remedy] = rule.refused;
      return { code: CODE, message: `option ${name} is refused: ${reason}`, remedy };
    }
    if (rule === undefined) {
      const guess = didYouMean(name, namesOf(rules));
      const remedy = `the options are ${namesOf(rules).join(", ")}, and ioredis's own`;
      return { code: CODE, message: `there is no option ${name}${guess}`, remedy };
    }
    if (rule.allows(value)) return [];
    return {
      code: CODE,
      message: `option ${name} can't be ${rule.isSecret === true ? `a ${typeof value}` : shown(value)}`,
      remedy: `it may be ${rule.words}`,
    };
  });
}

/** The names of the options that are not ioredis's. */
function namesOf(rules: OptionRules): string[] {
  const known: readonly string[] = [...IOREDIS_OPTIONS, ...Object.keys(REFUSED_OPTIONS)];
  return Object.keys(rules).filter((name) => !known.includes(name));
}

/** The ioredis options among checked options. */
export function redisOptionsOf(
  options: Readonly<Partial<Record<IoredisOption, unknown>>>,
): RedisOptions {
  const given = IOREDIS_OPTIONS.filter((name) => options[name] !== undefined);
  return Object.fromEntries(given.map((name) => [name, options[name]]));
}

/** The problems of overridden options that duplicate() can't change, because the engine is shared. An unchanged value is
    allowed. */
export function overrideProblems(
  override: Readonly<Record<string, unknown>>,
  present: Readonly<Record<string, unknown>>,
): Problem[] {
  return Object.entries(override).flatMap(([name, value]): Problem[] => {
    const isOurs = (IOREDIS_OPTIONS as readonly string[]).includes(name);
    if (isOurs || value === undefined || value === present[name]) return [];
    const message = `duplicate() can't change option ${name}: it shares the engine`;
    return [{ code: CODE, message, remedy: "leave it out, or make a client of its own" }];
  });
}

/** What is wrong with the address of a node, or undefined. `db` is optional. */
export function addressProblem(address: unknown): string | undefined {
  if (!isObject.allows(address)) return `it is ${shown(address)}`;
  const { host, port, db } = address as { host?: unknown; port?: unknown; db?: unknown };
  if (typeof host !== "string" || host === "") return `its host is ${shown(host)}`;
  if (!Number.isInteger(port) || !isWithin(port, 1, 65_535)) return `its port is ${shown(port)}`;
  if (db === undefined || (Number.isInteger(db) && Number(db) >= 0)) return undefined;
  return `its db is ${shown(db)}`;
}

/** Throws a TwineError with all problems, if there are any. */
export function refuseProblems(problems: readonly Problem[]): void {
  if (problems.length > 0) throw new TwineError(problems);
}

/** A value as in source code, shortened. */
export function shown(value: unknown): string {
  if (value === undefined) return "missing";
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value === "function" || typeof value === "symbol") return `a ${typeof value}`;
  if (value instanceof URL) return `the URL ${value.href}`;
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch {
    // A circular value has no JSON.
  }
  if (text === undefined) return "an object";
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
