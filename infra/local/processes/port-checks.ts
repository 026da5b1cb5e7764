// port-checks.ts: checks whether every port that will be used is free, and if not, which process has it.
import { setTimeout as delay } from "node:timers/promises";
import type { Problem } from "../../../runtime/core/errors.ts";
import { portHolders, portState } from "./port-holder.ts";
import type { Target } from "../targets.ts";

/** The kernel keeps the sockets of a process that was just killed for a moment, though it no longer shows the process. */
const FREE_WITHIN_MS = 1000;
const LOOK_EVERY_MS = 20;

interface Place {
  readonly target: Target;
  readonly address: string;
  readonly port: number;
}

/** PORT_TAKEN, with the process, for every port of these services that another process keeps; PORT_UNUSABLE. */
export async function portProblems(
  targets: readonly Target[],
): Promise<ReadonlyMap<Target, readonly Problem[]>> {
  const found = new Map<Target, Problem[]>();
  const add = ({ target }: Place, problem: Problem): void => {
    found.set(target, [...(found.get(target) ?? []), problem]);
  };
  const onUnusable = (place: Place, why: string): void => {
    add(place, portUnusable(place, why));
  };
  const endMs = performance.now() + FREE_WITHIN_MS;
  let taken = await takenOf(placesOf(targets), onUnusable);
  while (taken.length > 0 && performance.now() < endMs) {
    await delay(LOOK_EVERY_MS);
    taken = await takenOf(taken, onUnusable);
  }
  const holders = await portHolders(new Set(taken.map(({ port }) => port)));
  for (const place of taken) {
    const holder = holders.get(place.port);
    const who =
      holder === undefined
        ? "a process that this user may not see"
        : `process ${holder.pid} (${holder.command})`;
    add(place, portTaken(place, who));
  }
  return found;
}

function placesOf(targets: readonly Target[]): Place[] {
  return targets.flatMap((target) =>
    target.service.bind.flatMap((address) =>
      target.service.ports.map(({ port }) => ({ target, address, port })),
    ),
  );
}

async function takenOf(
  places: readonly Place[],
  onUnusable: (place: Place, why: string) => void,
): Promise<Place[]> {
  const taken: Place[] = [];
  for (const place of places) {
    const state = await portState(place.address, place.port);
    if (state.kind === "taken") taken.push(place);
    if (state.kind === "unusable") onUnusable(place, state.why);
  }
  return taken;
}

function portTaken({ target, address, port }: Place, who: string): Problem {
  return {
    code: "PORT_TAKEN",
    message: `port ${port} of node ${target.service.name} is taken on ${address} by ${who}`,
    remedy: "end that process, or give the node another port in twine.conf",
  };
}

function portUnusable({ target, address, port }: Place, why: string): Problem {
  return {
    code: "PORT_UNUSABLE",
    message: `node ${target.service.name} can't listen on ${address}:${port}: ${why}`,
    remedy: "give it an address of this machine and a port above 1023 in twine.conf",
  };
}
