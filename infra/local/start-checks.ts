// start-checks.ts: everything that can be known to be wrong before the first process starts.
import type { Problem } from "../../runtime/core/errors.ts";
import { TwineError } from "../../runtime/core/errors.ts";
import type { PlannedHost } from "../plan/plan.ts";
import type { LocalContext } from "./context.ts";
import { portHolders, portState } from "./port-holder.ts";
import { inspectHost } from "./setup.ts";
import { isSetUp, type Target } from "./targets.ts";

/** Throws NOT_SET_UP when a file is missing or not what twine.conf says now, and DATA_FOREIGN and the like.
    Files edited by hand are fine: they come back as warnings. */
export async function checkSetup(
  context: LocalContext,
  hosts: readonly PlannedHost[],
): Promise<Problem[]> {
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  for (const host of hosts) {
    if (!(await isSetUp(context, host))) {
      problems.push(notSetUp(host.name, `is not set up below ${context.folder}`));
      continue;
    }
    const state = await inspectHost(context, host, { overwrite: false, adopt: false });
    problems.push(...state.problems);
    const due = state.files.filter((file) => file.decision === "write");
    const missing = due.filter((file) => !file.isThere);
    const stale = due.filter((file) => file.isThere);
    if (missing.length > 0) {
      problems.push(notSetUp(host.name, `is not set up: ${listed(missing)} missing`));
    } else if (stale.length > 0) {
      const why = "twine.conf, the password or the Redis version changed since it was set up";
      problems.push(notSetUp(host.name, `is set up differently (${why}): ${listed(stale)}`));
    }
    for (const { path, decision } of state.files) {
      if (decision === "edited") warnings.push(editedByHand(path));
    }
  }
  if (problems.length > 0) throw new TwineError(problems);
  return warnings;
}

function notSetUp(host: string, what: string): Problem {
  return {
    code: "NOT_SET_UP",
    message: `host ${host} ${what}`,
    remedy: `run twine-setup ${host}`,
  };
}

export function editedByHand(path: string): Problem {
  return {
    code: "FILE_EDITED",
    message: `${path} was edited by hand and is kept`,
    remedy: "twine-setup --overwrite replaces it by what twine.conf says",
  };
}

function listed(files: readonly { readonly path: string }[]): string {
  const shown = files.slice(0, 3).map((file) => file.path);
  const more = files.length - shown.length;
  return more > 0 ? `${shown.join(", ")} and ${more} more` : shown.join(", ");
}

/** PORT_TAKEN, naming the process, for every port of these services that somebody else has; PORT_UNUSABLE. */
export async function portProblems(
  targets: readonly Target[],
): Promise<ReadonlyMap<Target, readonly Problem[]>> {
  const wanted = targets.flatMap((target) =>
    target.service.bind.flatMap((address) =>
      target.service.ports.map(({ port }) => ({ target, address, port })),
    ),
  );
  const found = new Map<Target, Problem[]>();
  const add = (target: Target, problem: Problem): void => {
    found.set(target, [...(found.get(target) ?? []), problem]);
  };
  const taken: typeof wanted = [];
  for (const place of wanted) {
    const { target, address, port } = place;
    const state = await portState(address, port);
    if (state.kind === "taken") taken.push(place);
    if (state.kind === "unusable") {
      add(target, {
        code: "PORT_UNUSABLE",
        message: `node ${target.service.name} can't listen on ${address}:${port}: ${state.why}`,
        remedy: "give it an address of this machine and a port above 1023 in twine.conf",
      });
    }
  }
  const holders = await portHolders(new Set(taken.map(({ port }) => port)));
  for (const { target, address, port } of taken) {
    const holder = holders.get(port);
    const who =
      holder === undefined
        ? "a process that this user may not see"
        : `process ${holder.pid} (${holder.command})`;
    add(target, {
      code: "PORT_TAKEN",
      message: `port ${port} of node ${target.service.name} is taken on ${address} by ${who}`,
      remedy: "end that process, or give the node another port in twine.conf",
    });
  }
  return found;
}
