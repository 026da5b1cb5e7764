// choose-hosts.ts: which hosts of twine.conf a command means. Pure.
import { didYouMean } from "../../runtime/core/conf/suggest.ts";
import { EXIT, TwineError } from "../../runtime/core/errors.ts";
import type { Plan, PlannedHost } from "../plan/plan.ts";

/** All hosts, or the one named. Throws HOST_UNKNOWN, which lists those that are there. */
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
 * Where to stop things: the named host, or those that are this machine. `left`: hosts that have left twine.conf but whose
 * folder lies here; `leftRunning`: those of them where something runs, which proves that they are this machine's.
 * Throws HOST_UNKNOWN, in the words of a command that takes a node as well, or HOST_NOT_HERE.
 */
export function hostsToStop(
  plan: Plan,
  name: string | undefined,
  isHere: (host: PlannedHost) => boolean,
  { left, leftRunning }: Readonly<Record<"left" | "leftRunning", readonly PlannedHost[]>>,
): readonly PlannedHost[] {
  if (name === undefined) {
    const here = [...plan.hosts.filter(isHere), ...leftRunning];
    return here.length > 0 ? here : hostsToRun(plan, name, isHere);
  }
  if (plan.hosts.some((host) => host.name === name)) return hostsToRun(plan, name, isHere);
  const found = left.filter((host) => host.name === name);
  if (found.length > 0) return found;
  const hosts = plan.hosts.map((host) => host.name);
  const nodes = plan.hosts.flatMap(({ services }) => services.map((service) => service.name));
  throw new TwineError(
    {
      code: "HOST_UNKNOWN",
      message: `there is no host or node ${name}${didYouMean(name, [...hosts, ...nodes])}`,
      remedy: `name one of the hosts, ${hosts.join(", ")}, or a node that "twine-status list" shows`,
    },
    { exitCode: EXIT.usage },
  );
}

/** The named host, or those whose address is this machine's. Throws HOST_UNKNOWN or HOST_NOT_HERE. */
export function hostsToRun(
  plan: Plan,
  name: string | undefined,
  isHere: (host: PlannedHost) => boolean,
): readonly PlannedHost[] {
  const named = namedHosts(plan, name);
  const here = named.filter(isHere);
  if (here.length > 0) return here;
  const names = named.map((host) => host.name).join(", ");
  throw new TwineError({
    code: "HOST_NOT_HERE",
    message:
      name === undefined
        ? `no host of twine.conf is this machine: ${names}`
        : `host ${name} of twine.conf is not this machine`,
    remedy: "run it on the machine that has the address, or correct the address in twine.conf",
  });
}
