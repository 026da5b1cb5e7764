// client-options.ts: what a program may say to a client, checked before anything is opened. Pure.
//
//   the options as they came -> every problem, each with the option, its value and what it may be -> one TwineError
//
// Programs in JavaScript, and options read from files, are not held by types; a NaN or an unknown name would otherwise
// show itself much later, as a timer that fires at once or a setting that is never applied.
import { didYouMean } from "../core/conf/suggest.ts";
import { TwineError, type Problem } from "../core/errors.ts";

/** What an option may be: `allows` decides, `words` says it. */
interface Rule {
  readonly allows: (value: unknown) => boolean;
  readonly words: string;
  /** Its value is never shown. */
  readonly isSecret?: boolean;
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

/** What both clients know, by the limits of twine.conf's directives. */
const COMMON: OptionRules = {
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

/** Of TwineClient; how it is told of its cluster is checked by readClientConf, with the same problems. */
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

/** Of RedCluster. */
export const RED_RULES: OptionRules = { ...COMMON, username: isText, downAfterMs: isMs(1) };

const CODE = "CLIENT_OPTION_BAD";

/** Everything that is wrong with the options, in their order; an option that is undefined counts as not given. */
export function optionProblems(options: unknown, rules: OptionRules): Problem[] {
  if (!isObject.allows(options)) {
    return [
      {
        code: CODE,
        message: `the options are ${shown(options)}`,
        remedy: `give an object with some of ${Object.keys(rules).join(", ")}`,
      },
    ];
  }
  return Object.entries(options as object).flatMap(([name, value]: [string, unknown]) => {
    if (value === undefined) return [];
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
    if (rule === undefined) {
      const guess = didYouMean(name, Object.keys(rules));
      const remedy = `the options are ${Object.keys(rules).join(", ")}`;
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

/** What is wrong with an address of a node, or undefined. `db` may be missing. */
export function addressProblem(address: unknown): string | undefined {
  if (!isObject.allows(address)) return `it is ${shown(address)}`;
  const { host, port, db } = address as { host?: unknown; port?: unknown; db?: unknown };
  if (typeof host !== "string" || host === "") return `its host is ${shown(host)}`;
  if (!Number.isInteger(port) || !isWithin(port, 1, 65_535)) return `its port is ${shown(port)}`;
  if (db === undefined || (Number.isInteger(db) && Number(db) >= 0)) return undefined;
  return `its db is ${shown(db)}`;
}

/** Throws all of them at once. */
export function refuseProblems(problems: readonly Problem[]): void {
  if (problems.length > 0) throw new TwineError(problems);
}

/** A value as its program would write it, shortened. */
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
    // What refers to itself has no text.
  }
  if (text === undefined) return "an object";
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
