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
