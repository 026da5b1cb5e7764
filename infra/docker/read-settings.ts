// read-settings.ts: `pulumi config` as the component's arguments. Nothing is checked here: a value that can't be read is
// handed on as the text that it is, and so is a key that there is not; settings.ts complains about all of them together.
import type { DockerSettingsArgs } from "./settings.ts";

/** Objects, lists and booleans: Pulumi hands them over as JSON. */
const VALUES = ["hosts", "engine", "engineAccess", "protectData", "publish", "labels"];
const PASSWORDS = ["password", "smtpPassword"];
/** Read elsewhere. */
const ELSEWHERE = ["conf"];
const NAMESPACE = "twine:";

/**
 * The keys that are set, of `pulumi.runtime.allConfig()`. An empty text, list or object counts as not set: Pulumi.yaml has
 * them as defaults, because Pulumi takes a declared key without a default for a required one. The passwords are not
 * declared, so an empty one was set by a person. They are plain texts here, to be checked before anything is made; the
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

/** Passwords that stand in the stack's file as everybody can read them, given the JSON list of the keys that don't. */
export function secretsInClear(
  config: Readonly<Record<string, string>>,
  secretKeys: string | undefined,
): string[] {
  // A language host that says nothing of secrets knows of none, and of those in clear as little.
  if (secretKeys === undefined || secretKeys === "") return [];
  const hidden = JSON.parse(secretKeys) as readonly string[];
  const passwords = PASSWORDS.map((key) => `${NAMESPACE}${key}`);
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
