// read-settings.ts: `pulumi config` as the component's arguments. Nothing is checked here: a value that can't be parsed
// stays a text, and unknown keys are kept; settings.ts reports all errors together.
import type { DockerSettingsArgs } from "./settings.ts";

/** Objects, lists and booleans: Pulumi passes them as JSON. */
const VALUES = [
  "hosts",
  "engine",
  "engineAccess",
  "protectData",
  "force",
  "publish",
  "labels",
  "backup",
];
const PASSWORDS = ["password", "oldPassword", "smtpPassword"];
/** Read elsewhere. */
const ELSEWHERE = ["conf"];
const NAMESPACE = "twine:";

/**
 * The keys that are set, from `pulumi.runtime.allConfig()`. An empty text, list or object counts as not set: Pulumi.yaml
 * has them as defaults, because Pulumi requires a value for a declared key without a default. The passwords are not
 * declared, so an empty one was set by the user. They are plain texts here, to be checked before anything is created; the
 * component makes secrets of them.
 */
export function readSettings(config: Readonly<Record<string, string>>): DockerSettingsArgs {
  const found = Object.entries(config)
    .filter(([name]) => name.startsWith(NAMESPACE))
    .map(([name, text]): [string, unknown] => {
      const key = name.slice(NAMESPACE.length);
      return [key, VALUES.includes(key) ? decoded(text) : text];
    })
    .filter(
      ([key, value]) => !ELSEWHERE.includes(key) && (PASSWORDS.includes(key) || !isEmpty(value)),
    );
  return Object.fromEntries(found);
}

/** Passwords that are unencrypted in the stack's file; the argument is the JSON list of the encrypted keys. */
export function secretsInClear(
  config: Readonly<Record<string, string>>,
  secretKeys: string | undefined,
): string[] {
  // A language host that reports no secret keys gives no information about unencrypted ones either.
  if (secretKeys === undefined || secretKeys === "") return [];
  const hidden = JSON.parse(secretKeys) as readonly string[];
  const passwords = PASSWORDS.map((key) => `${NAMESPACE}${key}`);
  // An object is secret as a whole as soon as one value in it is secret.
  if (config[`${NAMESPACE}backup`]?.includes("secretAccessKey") === true) {
    passwords.push(`${NAMESPACE}backup`);
  }
  return passwords.filter((key) => key in config && !hidden.includes(key));
}

function isEmpty(value: unknown): boolean {
  if (value === "") return true;
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

function decoded(text: string): unknown {
  if (!/^\s*([[{]|true\s*$|false\s*$)/.test(text)) return text;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
