// settings.ts: the user's settings for Docker, checked against twine.conf, all errors at once. Pure.
// The same check is used for `pulumi config` (whose values were text) and for programs that use the component.
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
import { checkBackup, type BackupArgs } from "./backup-settings.ts";
import { parsePublish, type Publish } from "./published-ports.ts";

/** The settings of a cluster on Docker; each is also a key of `pulumi config`, named twine:NAME. */
export interface DockerSettingsArgs {
  /** Host of twine.conf -> its Docker engine. */
  readonly hosts?: Readonly<Record<string, string | EndpointArgs>>;
  /** One Docker engine for all hosts: each host becomes a pod. Instead of `hosts`. */
  readonly engine?: string | EndpointArgs;
  /** Settings to connect to `engine`, if that is only an address. */
  readonly engineAccess?: EndpointAccess;
  /** Image of Redis or Valkey, e.g. "redis:7.2-bookworm" or "redis@sha256:...". */
  readonly redisImage?: string;
  /** Image of Twine's own runtime; built from infra/image when absent. */
  readonly runtimeImage?: string;
  /** An image with nutcracker in it, for `router twemproxy`; Debian's package when absent. */
  readonly nutcrackerImage?: string;
  /** The platform of all images, e.g. "linux/amd64"; each engine's own when absent. */
  readonly platform?: string;
  /** The cluster's password, one word; without it everything is reachable only on 127.0.0.1 or in the pods' network. */
  readonly password?: pulumi.Input<string>;
  /** The previous password: it is accepted besides `password` until this setting is removed. */
  readonly oldPassword?: pulumi.Input<string>;
  /** The password of the user in twine.conf's alert-smtp. */
  readonly smtpPassword?: pulumi.Input<string>;
  /** Settings with which the monitors' containers store backups in twine.conf's backup-dir. */
  readonly backup?: BackupArgs;
  /** Volumes survive `pulumi destroy`, and a change that would delete one is refused. */
  readonly protectData?: boolean;
  /** Makes a change that may lose data or service, if it is possible at all. */
  readonly force?: boolean;
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
  readonly nutcrackerImage: string | undefined;
  readonly platform: string | undefined;
  readonly hasPassword: boolean;
  readonly protectData: boolean;
  readonly force: boolean;
  readonly publish: Publish;
  readonly dataMemoryBytes: number;
  readonly labels: Readonly<Record<string, string>>;
}

export const DEFAULT_REDIS_IMAGE = "redis:7.2-bookworm";

const MB = 1024 ** 2;

/** An example for each key, shown in every complaint about it. */
export const EXAMPLES: Readonly<Record<keyof DockerSettingsArgs, string>> = Object.freeze({
  hosts: exampleFor("db1"),
  engine: `pulumi config set twine:engine ${LOCAL_ENGINE}`,
  engineAccess: "pulumi config set --path twine:engineAccess.certPath /etc/docker/certs",
  redisImage: `pulumi config set twine:redisImage ${DEFAULT_REDIS_IMAGE}`,
  runtimeImage: "pulumi config set twine:runtimeImage registry.example.com/twine-runtime:0.1.0",
  nutcrackerImage: "pulumi config set twine:nutcrackerImage registry.example.com/nutcracker:0.5",
  platform: "pulumi config set twine:platform linux/amd64",
  password: "pulumi config set --secret twine:password 'one-long-word'",
  oldPassword: "pulumi config set --secret twine:oldPassword 'the-word-before'",
  smtpPassword: "pulumi config set --secret twine:smtpPassword 'what-the-relay-wants'",
  backup: "pulumi config set --secret --path twine:backup.secretAccessKey 'what-the-store-gave'",
  protectData: "pulumi config set twine:protectData true",
  force: "pulumi config set twine:force true",
  publish: `pulumi config set --path 'twine:publish[0]' r1=16400`,
  memory: "pulumi config set twine:memory 1gb",
  labels: `pulumi config set --path 'twine:labels["team"]' storage`,
});

/** The component's arguments besides the settings: they are no keys, but known. */
const OTHER_ARGS = ["conf", "confFile", "files", "cluster", "atOnce"];

type Complain = (
  key: keyof DockerSettingsArgs,
  message: string,
  where?: { readonly path?: string; readonly example?: string },
) => void;

/** Two containers share no file. */
function stagingProblems({ settings: { twemproxyStaging } }: ClusterConfig): Problem[] {
  if (twemproxyStaging === undefined) return [];
  return [
    {
      code: "DOCKER_STAGING",
      message:
        "twemproxy-staging of twine.conf is a file that Sentinel and twemproxy share, and containers share none",
      remedy: "remove the line: without it twine-twemproxy asks Sentinel by itself",
    },
  ];
}

/**
 * The settings with defaults. Throws a TwineError with DOCKER_SETTING for every wrong, missing or unknown value; each names
 * its key and an example. The problems in `found` are reported together with them.
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
  problems.push(...unknownKeys(args), ...stagingProblems(config));
  const hasPassword = args.password !== undefined;
  const places = placesOf(args, config, hasPassword, complain);
  const settings: DockerSettings = {
    ...places,
    redisImage: imageOf("redisImage", args.redisImage, complain) ?? DEFAULT_REDIS_IMAGE,
    runtimeImage: imageOf("runtimeImage", args.runtimeImage, complain),
    nutcrackerImage: imageOf("nutcrackerImage", args.nutcrackerImage, complain),
    platform: platformOf(args.platform, complain),
    hasPassword,
    protectData: booleanOf("protectData", args.protectData, complain),
    force: booleanOf("force", args.force, complain),
    publish: publishOf(args, config, hasPassword, complain),
    dataMemoryBytes: memoryOf(args.memory, config, complain),
    labels: labelsOf(args.labels, complain),
  };
  checkPasswords(args, config, complain);
  checkSmtpPassword(args, config, complain);
  checkBackup(args.backup, config, (message, where) => {
    complain("backup", message, where);
  });
  if (problems.length > 0) throw new TwineError(problems, { exitCode: EXIT.usage });
  return settings;
}

/** A misspelt key (twine:engin, twine:pasword) would have no effect. */
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

function checkPasswords(
  { password, oldPassword }: DockerSettingsArgs,
  { settings: { router } }: ClusterConfig,
  complain: Complain,
): void {
  for (const [key, value] of [
    ["password", password],
    ["oldPassword", oldPassword],
  ] as const) {
    const why = typeof value === "string" ? passwordFault(value) : undefined;
    if (why !== undefined) complain(key, why);
  }
  if (oldPassword === undefined) return;
  const example = "pulumi config rm twine:oldPassword";
  if (password === undefined) complain("oldPassword", "is set without twine:password", { example });
  else if (router === "twemproxy")
    complain("oldPassword", "is set, and twemproxy has one password only", { example });
  else if (typeof password === "string" && password === oldPassword) {
    complain("oldPassword", "is the same as twine:password", { example });
  }
}

/** Why a text can't be the password, or undefined. The text itself is never printed. */
export function passwordFault(password: string): string | undefined {
  return password === "" || /\s/.test(password)
    ? "must be one word, and not an empty one"
    : undefined;
}

/** A mail that can't be sent would be missed during an incident, so the login is required beforehand. */
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

/** Why a text can't be the SMTP password, or undefined: monitors read the first line of a file. The text itself is never
    printed. */
export function smtpPasswordFault(password: string): string | undefined {
  return password === "" || /[\r\n]/.test(password)
    ? "must be one line, and not an empty one"
    : undefined;
}

function imageOf(
  key: "redisImage" | "runtimeImage" | "nutcrackerImage",
  value: unknown,
  complain: Complain,
): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "string" && /^[a-z0-9][^\s]*$/i.test(value)) return value;
  complain(key, `${JSON.stringify(value)} is no image's name`);
  return undefined;
}

function platformOf(value: unknown, complain: Complain): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "string" && /^linux\/[a-z0-9_]+(\/[a-z0-9]+)?$/.test(value)) return value;
  complain("platform", `must be linux/ARCHITECTURE, and is ${JSON.stringify(value)}`);
  return undefined;
}

function booleanOf(key: "protectData" | "force", value: unknown, complain: Complain): boolean {
  if (value !== undefined && typeof value !== "boolean") {
    complain(key, `must be true or false, and is ${JSON.stringify(value)}`);
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

/** Twice maxmemory and a margin: during a save, the fork may copy all memory that changes. */
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

/** `pulumi config set --path` makes a number of 7 and a boolean of true, even if the user meant a text. */
function isPlain(value: unknown): boolean {
  return ["string", "number", "boolean"].includes(typeof value);
}
