// endpoints.ts: checks twine:hosts, twine:engine and twine:engineAccess against the hosts of twine.conf. Pure.
//
//   hosts of twine.conf -> an engine each (hosts), or all of them as pods on one engine (engine, engineAccess)
//
// No setting is silently ignored: a setting without effect is as much an error as a wrong one.
import { isIP } from "node:net";
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import { hostsOf } from "../../runtime/core/cluster.ts";
import { didYouMean } from "../../runtime/core/conf/suggest.ts";
import { isLoopback } from "../../runtime/core/listen-addresses.ts";

/** Settings to connect to an engine, besides its address. */
export interface EndpointAccess {
  /** Options of the ssh program, e.g. ["-o", "ControlMaster=auto"]. */
  readonly sshOpts?: readonly string[];
  /** Folder with ca.pem, cert.pem and key.pem, for tcp:// with TLS. */
  readonly certPath?: string;
  /** The same as PEM text. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** One Docker engine as the user writes it: only the address, or with the settings to connect. */
export interface EndpointArgs extends EndpointAccess {
  /** ssh://user@host, tcp://host:2376 or unix:///var/run/docker.sock */
  readonly docker: string;
  /** For a host, not for an engine of all hosts: its IP address, written into the containers' /etc/hosts if DNS does not
      know the name. */
  readonly address?: string;
}

/** The arguments that this module reads; a user may have written any value. */
export interface PlacesArgs {
  readonly hosts?: unknown;
  readonly engine?: unknown;
  readonly engineAccess?: unknown;
}

export interface Places {
  /** Host of twine.conf -> its engine; undefined when all hosts are pods on `engine`. */
  readonly hosts: ReadonlyMap<string, EndpointArgs> | undefined;
  readonly engine: EndpointArgs | undefined;
}

/** `path` follows the key, as in `pulumi config set --path`; `example` replaces the key's own example. */
export type ComplainPlace = (
  key: "hosts" | "engine" | "engineAccess" | "password",
  message: string,
  where?: { readonly path?: string; readonly example?: string },
) => void;

export const LOCAL_ENGINE = "unix:///var/run/docker.sock";

const SSH = ["sshOpts"];
const TLS = ["certPath", "ca", "cert", "key"];

export function placesOf(
  args: PlacesArgs,
  config: ClusterConfig,
  hasPassword: boolean,
  complain: ComplainPlace,
): Places {
  const hosts = hostsOf(config);
  const { engine, hosts: named, engineAccess } = args;
  if (named !== undefined) {
    if (engine !== undefined) {
      complain("engine", "and twine:hosts are both set: either all hosts are pods, or none is");
    } else if (engineAccess !== undefined) {
      const why =
        "is how to get to twine:engine, and twine:hosts is set: there each host has its own";
      complain("engineAccess", why, { example: "pulumi config rm twine:engineAccess" });
    }
    return { hosts: endpointsOf(named, hosts, hasPassword, complain), engine: undefined };
  }
  if (engine === undefined && !hosts.every((host) => isLoopback(host))) {
    const missing = `is missing, and twine.conf names ${hosts.join(", ")} (twine:engine puts all of them on one engine)`;
    complain("hosts", missing, { example: exampleFor(hosts[0] ?? "db1") });
  }
  checkPods(config, hosts, complain);
  return { hosts: undefined, engine: engineOf(engine ?? LOCAL_ENGINE, engineAccess, complain) };
}

/** An example command for a host's engine. */
export function exampleFor(host: string): string {
  return `pulumi config set --path 'twine:hosts["${host}"]' ssh://root@${host}`;
}

function endpointsOf(
  named: unknown,
  hosts: readonly string[],
  hasPassword: boolean,
  complain: ComplainPlace,
): Map<string, EndpointArgs> {
  const endpoints = new Map<string, EndpointArgs>();
  if (!isRecord(named)) {
    complain("hosts", `must be an object, host of twine.conf -> endpoint, and is ${kindOf(named)}`);
    return endpoints;
  }
  const missing = hosts.filter((host) => named[host] === undefined);
  if (missing.length > 0) {
    complain("hosts", `has no endpoint for ${missing.join(", ")}, which twine.conf names`, {
      example: exampleFor(missing[0] ?? ""),
    });
  }
  for (const host of Object.keys(named).filter((name) => !hosts.includes(name))) {
    const path = `["${host}"]`;
    complain(
      "hosts",
      `is no host of twine.conf, which names ${hosts.join(", ")}${didYouMean(host, hosts)}`,
      { path, example: `pulumi config rm --path 'twine:hosts${path}'` },
    );
  }
  for (const host of hosts.filter((name) => named[name] !== undefined)) {
    const where = { path: `["${host}"]`, example: exampleFor(host) };
    const complainHere: ComplainPlace = (key, message, { path = "" } = {}) => {
      complain(key, message, { ...where, path: `${where.path}${path}` });
    };
    const endpoint = endpointOf(named[host], "hosts", complainHere);
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

/** The address of one key with the access settings of the other: each complaint names the key that contains the error. */
function engineOf(
  engine: unknown,
  access: unknown,
  complain: ComplainPlace,
): EndpointArgs | undefined {
  const endpoint = endpointOf(engine, "engine", complain);
  if (access === undefined) return endpoint;
  if (!isRecord(access)) {
    const properties = [...SSH, ...TLS].join(", ");
    complain("engineAccess", `must be an object of ${properties}, and is ${kindOf(access)}`);
    return endpoint;
  }
  if (endpoint === undefined) return undefined;
  checkAccess(access, endpoint.docker, "engineAccess", complain);
  return { ...endpoint, ...(access as EndpointAccess) };
}

function endpointOf(
  value: unknown,
  key: "hosts" | "engine",
  complain: ComplainPlace,
): EndpointArgs | undefined {
  const args = typeof value === "string" ? { docker: value } : value;
  if (!isRecord(args) || typeof args["docker"] !== "string") {
    complain(key, `must be a Docker endpoint, or an object with one as "docker"`);
    return undefined;
  }
  const { docker, address, ...access } = args;
  const isEndpoint = /^(ssh|tcp):\/\/[^/\s]+|^unix:\/\/\/\S+|^npipe:\/\/\S+/.test(docker);
  if (!isEndpoint) {
    complain(key, `${JSON.stringify(docker)} is neither an ssh://, tcp:// nor unix:// endpoint`);
    return undefined;
  }
  if (key === "engine" && address !== undefined) {
    complain(key, "is the address of a host's own engine: pods have names of their own", {
      path: ".address",
    });
  } else if (address !== undefined && (typeof address !== "string" || isIP(address) === 0)) {
    complain(key, `must be an IP address, and is ${JSON.stringify(address)}`, { path: ".address" });
  }
  checkAccess(access, docker, key, complain);
  return args as unknown as EndpointArgs;
}

function checkAccess(
  access: Readonly<Record<string, unknown>>,
  docker: string,
  key: "hosts" | "engine" | "engineAccess",
  complain: ComplainPlace,
): void {
  const known = [...SSH, ...TLS, ...(key === "hosts" ? ["address"] : [])];
  const used = docker.startsWith("ssh:") ? SSH : docker.startsWith("tcp:") ? TLS : [];
  for (const [name, value] of Object.entries(access)) {
    const path = `.${name}`;
    const isList = Array.isArray(value) && value.every((option) => typeof option === "string");
    if (!known.includes(name)) {
      const there = `there are ${known.join(", ")}${didYouMean(name, known)}`;
      complain(key, `is no property of an endpoint; ${there}`, { path });
    } else if (name === "sshOpts" && !isList) complain(key, "must be a list of texts", { path });
    else if (name !== "sshOpts" && typeof value !== "string") {
      complain(key, "must be a text", { path });
    } else if (!used.includes(name)) {
      const scheme = SSH.includes(name) ? "ssh://" : "tcp://";
      complain(key, `is for ${scheme} endpoints, and this one is ${docker}`, { path });
    }
  }
}

/** Pods find each other by their names, and 127.0.0.1 is each pod itself. */
function checkPods(config: ClusterConfig, hosts: readonly string[], complain: ComplainPlace): void {
  const nameless = hosts.filter((host) => isLoopback(host) || /^[\d.]+$|:/.test(host));
  if (hosts.length > 1 && nameless.length > 0) {
    complain("engine", `makes each host a pod, and a pod can't be called ${nameless.join(", ")}`);
  }
  const doubled = hosts.filter((host) => config.nodes.some((node) => node.name === host));
  if (doubled.length > 0) {
    complain(
      "engine",
      `makes each host a container, and ${doubled.join(", ")} is a node's name too`,
    );
  }
}

/** The kind of a wrong value, without the value itself: it may be a key. */
export function kindOf(value: unknown): string {
  if (Array.isArray(value)) return value.every(isText) ? "a list" : "a list of other things";
  if (isRecord(value)) return "an object";
  return value === null ? "null" : isText(value) ? "a text" : `a ${typeof value}`;
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
