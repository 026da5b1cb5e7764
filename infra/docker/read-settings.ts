// read-settings.ts: `pulumi config` as the component's arguments. Nothing is checked here: a value that can't be read is
// handed on as the text that it is, and settings.ts complains about it together with everything else.
import type * as pulumi from "@pulumi/pulumi";
import type { DockerSettingsArgs } from "./settings.ts";

const TEXTS = ["redisImage", "runtimeImage", "memory"] as const;
const VALUES = ["hosts", "engine", "protectData", "publish", "labels"] as const;

/** The keys that are set. An empty text, list or object counts as not set: Pulumi.yaml has them as defaults, because Pulumi
    takes a declared key without a default for a required one. */
export function readSettings(config: pulumi.Config): DockerSettingsArgs {
  const found: Record<string, unknown> = {};
  for (const key of TEXTS) found[key] = config.get(key);
  for (const key of VALUES) found[key] = decoded(config.get(key));
  found["engine"] = withAccess(found["engine"], decoded(config.get("engineAccess")));
  found["password"] = config.getSecret("password");
  return Object.fromEntries(Object.entries(found).filter(([, value]) => !isEmpty(value)));
}

/** twine:engine is a text, so what it takes to get there has a key of its own: Pulumi checks a declared type. */
function withAccess(engine: unknown, access: unknown): unknown {
  if (isEmpty(access)) return engine;
  const isPlain = typeof access === "object" && !Array.isArray(access);
  return { docker: engine, ...(isPlain ? access : { engineAccess: access }) };
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === "") return true;
  // A secret is an Output: an object without keys of its own to count, and set.
  const isPlain = typeof value === "object" && value !== null && !("apply" in value);
  return isPlain && Object.keys(value).length === 0;
}

/** Pulumi hands over objects, lists and booleans as JSON. */
function decoded(text: string | undefined): unknown {
  if (text === undefined || !/^\s*([[{]|true\s*$|false\s*$)/.test(text)) return text;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
