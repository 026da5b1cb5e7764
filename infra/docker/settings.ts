// settings.ts: what a person configures of the Docker side, checked against twine.conf, every mistake at once. Pure.
// The same check serves `pulumi config` (values that were text) and programs that use the component.
import type * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import { parseSize } from "../../runtime/core/conf/sizes.ts";
import { didYouMean } from "../../runtime/core/conf/suggest.ts";
import { EXIT, TwineError, type Problem } from "../../runtime/core/errors.ts";
import {
  LOCAL_ENGINE,
  exampleFor,
  isRecord,
  kindOf,
  placesOf,
  type EndpointAccess,
  type EndpointArgs,
  type Places,
} from "./endpoints.ts";
import { parsePublish, type Publish } from "./published-ports.ts";

/** The settings of a cluster on Docker; each is also a key of `pulumi config`, as twine:NAME. */
export interface DockerSettingsArgs {
  /** Host of twine.conf -> its Docker engine. */
  readonly hosts?: Readonly<Record<string, string | EndpointArgs>>;
  /** One Docker engine for all hosts: each host becomes a pod. Instead of `hosts`. */
  readonly engine?: string | EndpointArgs;
  /** What it takes to get to `engine`, when that is only an address. */
  readonly engineAccess?: EndpointAccess;
  /** Image of Redis or Valkey, e.g. "redis:7.2-bookworm" or "redis@sha256:...". */
  readonly redisImage?: string;
  /** Image of Twine's own runtime; built from infra/image when absent. */
  readonly runtimeImage?: string;
  /** The cluster's password, one word; without it everything stays on 127.0.0.1 or in the pods' network. */
  readonly password?: pulumi.Input<string>;
  /** The password of the user that twine.conf's alert-smtp names. */
  readonly smtpPassword?: pulumi.Input<string>;
  /** Volumes survive `pulumi destroy`, and a change that would delete one is refused. */
  readonly protectData?: boolean;
  /** Pods only: "routers", "monitors", "all", "none", NODE, NODE=PORT, NODE=ADDRESS:PORT. */
  readonly publish?: readonly string[];
  /** Memory limit of a data node, e.g. "1gb"; the default follows `redis maxmemory`. */
  readonly memory?: string;
  /** Labels of every container. */
  readonly labels?: Readonly<Record<string, string>>;
}

export interface DockerSettings extends Places {
  readonly redisImage: string;
  readonly runtimeImage: string | undefined;
  readonly hasPassword: boolean;
  readonly protectData: boolean;
  readonly publish: Publish;
  readonly dataMemoryBytes: number;
  readonly labels: Readonly<Record<string, string>>;
}

export const DEFAULT_REDIS_IMAGE = "redis:7.2-bookworm";

const MB = 1024 ** 2;

/** An example of each key, shown with every complaint about it. */
export const EXAMPLES: Readonly<Record<keyof DockerSettingsArgs, string>> = Object.freeze({
  hosts: exampleFor("db1"),
  engine: `pulumi config set twine:engine ${LOCAL_ENGINE}`,
  engineAccess: "pulumi config set --path twine:engineAccess.certPath /etc/docker/certs",
  redisImage: `pulumi config set twine:redisImage ${DEFAULT_REDIS_IMAGE}`,
  runtimeImage: "pulumi config set twine:runtimeImage registry.example.com/twine-runtime:0.1.0",
  password: "pulumi config set --secret twine:password 'one-long-word'",
  smtpPassword: "pulumi config set --secret twine:smtpPassword 'what-the-relay-wants'",
  protectData: "pulumi config set twine:protectData true",
  publish: `pulumi config set --path 'twine:publish[0]' r1=16400`,
  memory: "pulumi config set twine:memory 1gb",
  labels: `pulumi config set --path 'twine:labels["team"]' storage`,
});

/** What the component takes beside the settings: each is no key of its own, but no unknown one either. */
const OTHER_ARGS = ["conf", "confFile", "files", "cluster"];

type Complain = (
  key: keyof DockerSettingsArgs,
  message: string,
  where?: { readonly path?: string; readonly example?: string },
) => void;

/**
 * The settings, defaults filled in.
 * Throws a TwineError with DOCKER_SETTING for every wrong, missing or unknown value; each names its key and an example.
 * What was found before (`found`) is told together with them.
 */
export function checkSettings(
  args: DockerSettingsArgs,
  config: ClusterConfig,
  found: readonly Problem[] = [],
): DockerSettings {
  const problems: Problem[] = [...found];
  const complain: Complain = (key, message, { path = "", example = EXAMPLES[key] } = {}) => {
    const remedy = `for example: ${example}`;
    problems.push({ code: "DOCKER_SETTING", message: `twine:${key}${path} ${message}`, remedy });
  };
  problems.push(...unknownKeys(args));
  const hasPassword = args.password !== undefined;
  const places = placesOf(args, config, hasPassword, complain);
  const settings: DockerSettings = {
    ...places,
    redisImage: imageOf("redisImage", args.redisImage, complain) ?? DEFAULT_REDIS_IMAGE,
    runtimeImage: imageOf("runtimeImage", args.runtimeImage, complain),
    hasPassword,
    protectData: booleanOf(args.protectData, complain),
    publish: publishOf(args, config, hasPassword, complain),
    dataMemoryBytes: memoryOf(args.memory, config, complain),
    labels: labelsOf(args.labels, complain),
  };
  if (typeof args.password === "string") checkPassword(args.password, complain);
  checkSmtpPassword(args, config, complain);
  if (problems.length > 0) throw new TwineError(problems, { exitCode: EXIT.usage });
  return settings;
}

/** A key that nobody reads would be a mistake without a word: twine:engin, twine:pasword. */
function unknownKeys(args: DockerSettingsArgs): Problem[] {
  const known = Object.keys(EXAMPLES);
  const keys = known.concat("conf").map((key) => `twine:${key}`);
  return Object.keys(args)
    .filter((key) => !known.includes(key) && !OTHER_ARGS.includes(key))
    .map((key) => {
      const meant = didYouMean(`twine:${key}`, keys);
      const there = meant === "" ? `; there are ${keys.sort().join(", ")}` : meant;
      const message = `twine:${key} is not a key that Twine reads${there}`;
      return { code: "DOCKER_SETTING", message, remedy: `pulumi config rm twine:${key}` };
    });
}

function checkPassword(password: string, complain: Complain): void {
  const why = passwordFault(password);
  if (why !== undefined) complain("password", why);
}

/** Why a text can't be the password, or undefined. The text itself is never repeated. */
export function passwordFault(password: string): string | undefined {
  return password === "" || /\s/.test(password)
    ? "must be one word, and not an empty one"
    : undefined;
}

/** A mail that can't be sent would be missed in the moment of trouble, so the login is asked for beforehand. */
function checkSmtpPassword(
  { smtpPassword }: DockerSettingsArgs,
  { settings: { alertSmtp, alertMail } }: ClusterConfig,
  complain: Complain,
): void {
  const user = new URL(alertSmtp).username;
  if (smtpPassword === undefined) {
    if (user === "" || alertMail.length === 0) return;
    complain(
      "smtpPassword",
      `is missing, and alert-smtp names the user ${decodeURIComponent(user)}`,
    );
    return;
  }
  if (user === "") {
    const example = "alert-smtp smtp://USER@mail.example.com:587 in twine.conf";
    complain("smtpPassword", "is set, and twine.conf's alert-smtp names no user", { example });
  }
  const why = typeof smtpPassword === "string" ? smtpPasswordFault(smtpPassword) : undefined;
  if (why !== undefined) complain("smtpPassword", why);
}

/** Why a text can't be it, or undefined: monitors take the first line of a file. The text itself is never repeated. */
export function smtpPasswordFault(password: string): string | undefined {
  return password === "" || /[\r\n]/.test(password)
    ? "must be one line, and not an empty one"
    : undefined;
}

function imageOf(
  key: "redisImage" | "runtimeImage",
  value: unknown,
  complain: Complain,
): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "string" && /^[a-z0-9][^\s]*$/i.test(value)) return value;
  complain(key, `${JSON.stringify(value)} is no image's name`);
  return undefined;
}

function booleanOf(value: unknown, complain: Complain): boolean {
  if (value !== undefined && typeof value !== "boolean") {
    complain("protectData", `must be true or false, and is ${JSON.stringify(value)}`);
  }
  return value === true;
}

function publishOf(
  args: DockerSettingsArgs,
  config: ClusterConfig,
  hasPassword: boolean,
  complain: Complain,
): Publish {
  if (args.publish !== undefined && args.hosts !== undefined) {
    const example = "pulumi config rm twine:publish";
    complain("publish", "is for pods alone: with twine:hosts, ports are those of twine.conf", {
      example,
    });
  }
  const value: unknown = args.publish ?? ["routers", "monitors"];
  const isList = Array.isArray(value) && value.every((entry) => typeof entry === "string");
  if (!isList) complain("publish", `must be a list of texts, and is ${kindOf(value)}`);
  const parsed = parsePublish(isList ? value : [], config, hasPassword);
  for (const fault of parsed.faults) complain("publish", fault);
  return parsed.publish;
}

/** Twice maxmemory and something: a fork that saves may copy everything that changes meanwhile. */
function memoryOf(value: unknown, config: ClusterConfig, complain: Complain): number {
  const maxmemory = parseSize(
    config.settings.redis.findLast(({ name }) => name.toLowerCase() === "maxmemory")?.value ?? "0",
  );
  const fallback =
    maxmemory === undefined || maxmemory === 0 ? 1024 * MB : 2 * maxmemory + 128 * MB;
  if (value === undefined) return fallback;
  const bytes = typeof value === "string" ? parseSize(value) : undefined;
  if (bytes === undefined || bytes < 16 * MB) {
    complain("memory", `must be a size of 16mb or more, and is ${JSON.stringify(value)}`);
    return fallback;
  }
  if (maxmemory !== undefined && bytes < maxmemory) {
    complain("memory", `is less than twine.conf's redis maxmemory: Docker would kill the node`);
  }
  return bytes;
}

function labelsOf(value: unknown, complain: Complain): Readonly<Record<string, string>> {
  if (value === undefined) return {};
  if (!isRecord(value)) {
    complain("labels", `must be an object, label -> text, and is ${kindOf(value)}`);
    return {};
  }
  for (const [label, text] of Object.entries(value).filter(([, text]) => !isPlain(text))) {
    complain("labels", `must be a text, and is ${kindOf(text)}`, { path: `["${label}"]` });
  }
  return Object.fromEntries(Object.entries(value).map(([label, text]) => [label, String(text)]));
}

/** `pulumi config set --path` makes a number of 7 and a boolean of true, whatever a person meant. */
function isPlain(value: unknown): boolean {
  return ["string", "number", "boolean"].includes(typeof value);
}
