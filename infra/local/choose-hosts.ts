// choose-hosts.ts: finds the hosts and nodes of twine.conf that a command names. Pure.
import { hostsOf, type ClusterConfig } from "../../runtime/core/cluster.ts";
import { didYouMean } from "../../runtime/core/conf/suggest.ts";
import { EXIT, TwineError, type Problem } from "../../runtime/core/errors.ts";
import type { Plan, PlannedHost } from "../plan/plan.ts";

/** All hosts, or the named one. Throws HOST_UNKNOWN, which lists the existing hosts. */
export function namedHosts(plan: Plan, name: string | undefined): readonly PlannedHost[] {
  if (name === undefined) return plan.hosts;
  const found = plan.hosts.filter((host) => host.name === name);
  if (found.length > 0) return found;
  const names = plan.hosts.map((host) => host.name);
  throw new TwineError(
    {
      code: "HOST_UNKNOWN",
      message: `twine.conf has no host ${name}${didYouMean(name, names)}`,
      remedy: `name one of its hosts: ${names.join(", ")}`,
    },
    { exitCode: EXIT.usage },
  );
}

/**
 * The meaning of NAME in `twine-start NAME`: a host, otherwise a node of twine.conf; without a name all hosts. Throws
 * HOST_UNKNOWN.
 */
export function hostOrNode(
  config: ClusterConfig,
  name: string | undefined,
): { readonly host?: string | undefined; readonly nodes?: readonly string[] } {
  const hosts = hostsOf(config);
  if (name === undefined || hosts.includes(name)) return { host: name };
  const node = config.nodes.find((other) => other.name === name);
  if (node !== undefined) return { host: node.host, nodes: [node.name] };
  throw unknown(
    name,
    hosts,
    config.nodes.map((other) => other.name),
  );
}

function unknown(name: string, hosts: readonly string[], nodes: readonly string[]): TwineError {
  return new TwineError(
    {
      code: "HOST_UNKNOWN",
      message: `there is no host or node ${name}${didYouMean(name, [...hosts, ...nodes])}`,
      remedy: `name one of the hosts, ${hosts.join(", ")}, or a node that "twine-status list" shows`,
    },
    { exitCode: EXIT.usage },
  );
}

/** A plan, and facts about its hosts on this machine. */
export interface HostFacts {
  readonly plan: Plan;
  readonly isHere: (host: PlannedHost) => boolean;
  readonly addressProblem: (host: PlannedHost) => string | undefined;
}

/**
 * The hosts to stop: the named host, or those that are this machine. `left`: hosts that were removed from twine.conf but
 * whose folder is here; `leftRunning`: those of them with a running process, which proves that they are this machine.
 * Throws HOST_UNKNOWN, worded for a command that also accepts a node, or HOST_NOT_HERE.
 */
export function hostsToStop(
  { plan, isHere, addressProblem }: HostFacts,
  name: string | undefined,
  { left, leftRunning }: Readonly<Record<"left" | "leftRunning", readonly PlannedHost[]>>,
): readonly PlannedHost[] {
  if (name === undefined) {
    const here = [...plan.hosts.filter(isHere), ...leftRunning];
    return here.length > 0 ? here : hostsToRun({ plan, isHere, addressProblem }, name);
  }
  if (plan.hosts.some((host) => host.name === name))
    return hostsToRun({ plan, isHere, addressProblem }, name);
  const found = left.filter((host) => host.name === name);
  if (found.length > 0) return found;
  throw unknown(
    name,
    plan.hosts.map((host) => host.name),
    plan.hosts.flatMap(({ services }) => services.map((service) => service.name)),
  );
}

/** The named host, or those whose address is this machine's. Throws HOST_UNKNOWN, HOST_NOT_HERE or
    HOST_UNRESOLVED. */
export function hostsToRun(
  { plan, isHere, addressProblem }: HostFacts,
  name: string | undefined,
): readonly PlannedHost[] {
  const named = namedHosts(plan, name);
  const here = named.filter(isHere);
  if (here.length > 0) return here;
  const isNobodyKnown = named.every((host) => addressProblem(host) !== undefined);
  if (name !== undefined || isNobodyKnown) {
    throw new TwineError(named.map((host) => notHere(host, addressProblem(host))));
  }
  throw new TwineError({
    code: "HOST_NOT_HERE",
    message: `no host of twine.conf is this machine: ${named.map((host) => host.name).join(", ")}`,
    remedy: NOT_HERE_REMEDY,
  });
}

const NOT_HERE_REMEDY =
  "run it on the machine that has the address, or correct the address in twine.conf";

function notHere({ name, address }: PlannedHost, why: string | undefined): Problem {
  if (why === undefined) {
    return {
      code: "HOST_NOT_HERE",
      message: `host ${name} of twine.conf is not this machine`,
      remedy: NOT_HERE_REMEDY,
    };
  }
  return {
    code: "HOST_UNRESOLVED",
    message: `host ${name} of twine.conf: the name ${address} can't be resolved (${why})`,
    remedy: "correct the name in twine.conf, or enter it in DNS or /etc/hosts",
  };
}
