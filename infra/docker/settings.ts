// settings.ts: what a person configures of the Docker side, checked against twine.conf, every mistake at once. Pure.
// The same check serves `pulumi config` (values that were text) and programs that use the component.
import type * as pulumi from "@pulumi/pulumi";
import { hostsOf, type ClusterConfig } from "../../runtime/core/cluster.ts";
import { parseSize } from "../../runtime/core/conf/sizes.ts";
import { EXIT, TwineError, type Problem } from "../../runtime/core/errors.ts";
import { isLoopback } from "../../runtime/core/listen-addresses.ts";
import { parsePublish, type Publish } from "./published-ports.ts";

/** One Docker engine, as a person names it: only the address, or with what it takes to get there. */
export interface EndpointArgs {
  /** ssh://user@host, tcp://host:2376 or unix:///var/run/docker.sock */
  readonly docker: string;
  /** Options of the ssh program, e.g. ["-o", "ControlMaster=auto"]. */
  readonly sshOpts?: readonly string[];
  /** Folder with ca.pem, cert.pem and key.pem, for tcp:// with TLS. */
  readonly certPath?: string;
  /** The same as PEM text. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** IP address of the host, written into the containers' /etc/hosts where DNS does not know the name. */
  readonly address?: string;
}

/** The settings of a cluster on Docker; each is also a key of `pulumi config`, as twine:NAME. */
export interface DockerSettingsArgs {
  /** Host of twine.conf -> its Docker engine. */
  readonly hosts?: Readonly<Record<string, string | EndpointArgs>>;
  /** One Docker engine for all hosts: each host becomes a pod. Instead of `hosts`. */
  readonly engine?: string | EndpointArgs;
  /** Image of Redis or Valkey, e.g. "redis:7.2-bookworm" or "redis@sha256:...". */
  readonly redisImage?: string;
  /** Image of Twine's own runtime; built from infra/image when absent. */
  readonly runtimeImage?: string;
  /** The cluster's password, one word; without it everything stays on 127.0.0.1 or in the pods' network. */
  readonly password?: pulumi.Input<string>;
  /** Volumes survive `pulumi destroy`, and a change that would delete one is refused. */
  readonly protectData?: boolean;
  /** Pods only: "routers", "monitors", "all", "none", NODE, NODE=PORT, NODE=ADDRESS:PORT. */
  readonly publish?: readonly string[];
  /** Memory limit of a data node, e.g. "1gb"; the default follows `redis maxmemory`. */
  readonly memory?: string;
  /** Labels of every container. */
  readonly labels?: Readonly<Record<string, string>>;
}

export interface DockerSettings {
  /** Host of twine.conf -> its engine; undefined when all are pods on `engine`. */
  readonly hosts: ReadonlyMap<string, EndpointArgs> | undefined;
  readonly engine: EndpointArgs | undefined;
  readonly redisImage: string;
  readonly runtimeImage: string | undefined;
  readonly hasPassword: boolean;
  readonly protectData: boolean;
  readonly publish: Publish;
  readonly dataMemoryBytes: number;
  readonly labels: Readonly<Record<string, string>>;
}

export const DEFAULT_REDIS_IMAGE = "redis:7.2-bookworm";
export const LOCAL_ENGINE = "unix:///var/run/docker.sock";

const MB = 1024 ** 2;

/** An example of each key, shown with every complaint about it. */
export const EXAMPLES: Readonly<Record<keyof DockerSettingsArgs, string>> = Object.freeze({
  hosts: `pulumi config set --path 'twine:hosts["db1"]' ssh://root@db1`,
  engine: `pulumi config set twine:engine ${LOCAL_ENGINE}`,
  redisImage: `pulumi config set twine:redisImage ${DEFAULT_REDIS_IMAGE}`,
  runtimeImage: "pulumi config set twine:runtimeImage registry.example.com/twine-runtime:0.1.0",
  password: "pulumi config set --secret twine:password 'one-long-word'",
  protectData: "pulumi config set twine:protectData true",
  publish: `pulumi config set --path 'twine:publish[0]' r1=16400`,
  memory: "pulumi config set twine:memory 1gb",
  labels: `pulumi config set --path 'twine:labels["team"]' storage`,
});

type Complain = (key: keyof DockerSettingsArgs, message: string) => void;

/**
 * The settings, defaults filled in.
 * Throws a TwineError with DOCKER_SETTING for every wrong or missing value; each names its key and an example.
 */
export function checkSettings(args: DockerSettingsArgs, config: ClusterConfig): DockerSettings {
  const problems: Problem[] = [];
  const complain: Complain = (key, message) => {
    const remedy = `for example: ${EXAMPLES[key]}`;
    problems.push({ code: "DOCKER_SETTING", message: `twine:${key} ${message}`, remedy });
  };
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
  if (problems.length > 0) throw new TwineError(problems, { exitCode: EXIT.usage });
  return settings;
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

function placesOf(
  args: DockerSettingsArgs,
  config: ClusterConfig,
  hasPassword: boolean,
  complain: Complain,
): Pick<DockerSettings, "hosts" | "engine"> {
  const hosts = hostsOf(config);
  const { engine, hosts: named } = args as { engine?: unknown; hosts?: unknown };
  if (engine !== undefined && named !== undefined) {
    complain("engine", "and twine:hosts are both set: either all hosts are pods, or none is");
  } else if (named !== undefined) {
    return { hosts: endpointsOf(named, hosts, hasPassword, complain), engine: undefined };
  } else if (engine === undefined && !hosts.every((host) => isLoopback(host))) {
    const missing = `is missing, and twine.conf names ${hosts.join(", ")} (twine:engine puts all of them on one engine)`;
    complain("hosts", missing);
  }
  checkPods(config, hosts, complain);
  return { hosts: undefined, engine: endpointOf(engine ?? LOCAL_ENGINE, "engine", complain) };
}

function endpointsOf(
  named: unknown,
  hosts: readonly string[],
  hasPassword: boolean,
  complain: Complain,
): Map<string, EndpointArgs> {
  const endpoints = new Map<string, EndpointArgs>();
  if (!isRecord(named)) {
    complain("hosts", "must be an object: host of twine.conf -> Docker endpoint");
    return endpoints;
  }
  const missing = hosts.filter((host) => named[host] === undefined);
  if (missing.length > 0) {
    complain("hosts", `has no endpoint for ${missing.join(", ")}, which twine.conf names`);
  }
  for (const host of hosts.filter((name) => named[name] !== undefined)) {
    const endpoint = endpointOf(named[host], "hosts", complain, `["${host}"]`);
    if (endpoint !== undefined) endpoints.set(host, endpoint);
  }
  if (!hasPassword && hosts.length > 1) {
    complain(
      "password",
      `is missing: without one everything listens on 127.0.0.1 alone, and ${hosts.join(", ")} can't reach each other`,
    );
  }
  return endpoints;
}

function endpointOf(
  value: unknown,
  key: "hosts" | "engine",
  complain: Complain,
  path = "",
): EndpointArgs | undefined {
  const args = typeof value === "string" ? { docker: value } : value;
  if (!isRecord(args) || typeof args["docker"] !== "string") {
    complain(key, `${path} must be a Docker endpoint, or an object with one as "docker"`.trim());
    return undefined;
  }
  if (!/^(ssh|tcp):\/\/[^/\s]+|^unix:\/\/\/\S+|^npipe:\/\/\S+/.test(args["docker"])) {
    const shown = JSON.stringify(args["docker"]);
    complain(key, `${path} ${shown} is neither an ssh://, tcp:// nor unix:// endpoint`.trim());
  }
  const { sshOpts, ...texts } = args;
  const isList = Array.isArray(sshOpts) && sshOpts.every((option) => typeof option === "string");
  if (sshOpts !== undefined && !isList) complain(key, `${path}.sshOpts must be a list of texts`);
  const known = ["docker", "certPath", "ca", "cert", "key", "address"];
  for (const [name, text] of Object.entries(texts)) {
    if (!known.includes(name)) {
      complain(
        key,
        `${path} has no property ${name}; there are ${known.join(", ")}, sshOpts`.trim(),
      );
    } else if (typeof text !== "string") complain(key, `${path}.${name} must be a text`);
  }
  return args as unknown as EndpointArgs;
}

/** A pod's name is how the others find it, and 127.0.0.1 is each pod's own. */
function checkPods(config: ClusterConfig, hosts: readonly string[], complain: Complain): void {
  const nameless = hosts.filter((host) => isLoopback(host) || /^[\d.]+$|:/.test(host));
  if (hosts.length > 1 && nameless.length > 0) {
    complain("engine", `makes each host a pod, and a pod can't be called ${nameless.join(", ")}`);
  }
  const clash = hosts.filter((host) => config.nodes.some((node) => node.name === host));
  if (clash.length > 0) {
    complain("engine", `makes each host a container, and ${clash.join(", ")} is a node's name too`);
  }
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
  const value: unknown = args.publish ?? ["routers", "monitors"];
  const isList = Array.isArray(value) && value.every((entry) => typeof entry === "string");
  if (!isList) complain("publish", "must be a list of texts");
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
  if (isRecord(value) && Object.values(value).every((text) => typeof text === "string")) {
    return value as Readonly<Record<string, string>>;
  }
  complain("labels", "must be an object of texts");
  return {};
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
