// processes.ts: makes the monitors and routers of this machine read a changed twine.conf: by SIGHUP, or by restarts, one at
// a time in the whole cluster. Stops nodes that were removed from twine.conf once the cluster no longer needs them.
import { setTimeout as delay } from "node:timers/promises";
import { majorityOf, nodesOf } from "../../../runtime/core/cluster.ts";
import { TwineError } from "../../../runtime/core/errors.ts";
import type { View } from "../../../runtime/core/view.ts";
import type { PlannedHost } from "../../plan/plan.ts";
import { askPresence } from "../ask.ts";
import type { LocalContext } from "../context.ts";
import { findLeftHosts, findLeftOvers, type LeftOver } from "../files/left-overs.ts";
import { interrupted } from "../processes/launch.ts";
import { reloadHosts } from "../processes/reload.ts";
import { stopHosts } from "../processes/stop.ts";
import { silentProgress } from "../progress.ts";
import { askAddress, healthCredentials } from "../targets.ts";
import type { ServiceLook } from "./look.ts";
import type { ClusterAccess, Done } from "./rolling.ts";
import { endSupervision } from "./supervised.ts";
import { replaceRouter, type FileWriter, type Service } from "./service-steps.ts";
import type { Lock, NoLock, Turns } from "./turns.ts";

const LOOK_EVERY_MS = 100;
const GO_ON = "run twine-apply again: it goes on where it stopped";

export interface ProcessParts {
  readonly context: LocalContext;
  readonly access: ClusterAccess;
  readonly turns: Turns;
  readonly files: FileWriter;
  readonly waitMs: number;
  readonly onDone: (done: Done) => void;
}

/** Sends SIGHUP to each; a router or monitor that can't use the file reports it in its log and in the view. */
export async function reloadProcesses(
  { context, onDone }: ProcessParts,
  looks: readonly ServiceLook[],
): Promise<void> {
  for (const { host, target } of looks) {
    const { name } = target.service;
    const { reloaded } = await reloadHosts({ ...context, nodes: [name] }, [host]);
    if (reloaded.length > 0) onDone({ node: name, what: "reads twine.conf again" });
  }
}

/**
 * Restarts one at a time among all hosts, while `mayBegin` is true for the view: each is up again, and `isBack`, before the
 * next one. Throws NOT_READY when one of these takes longer than `waitMs`.
 */
export async function restartProcesses(
  parts: ProcessParts,
  looks: readonly ServiceLook[],
  turn: string,
  isBack: (view: View, name: string) => boolean,
  mayBegin: (view: View) => boolean | Promise<boolean> = () => true,
): Promise<void> {
  const { context, access, files, onDone } = parts;
  for (const { host, target, process, need } of looks) {
    const { name, folder } = target.service;
    await files.write(host, (path) => path.startsWith(`${folder}/`));
    const mayStop = async (): Promise<boolean> => {
      const view = access.view();
      return view !== null && (await mayBegin(view));
    };
    const lock = await restartInTurn(parts, turn, { context, host, target }, mayStop);
    try {
      await until(parts, `${name} was restarted and is not back`, async () => {
        const view = access.view();
        return view !== null && isBack(view, name) && (await isUp(context, target.service));
      });
      const why = typeof process === "object" ? process.restart : reasonOf(need);
      onDone({ node: name, what: `restarted (${why})` });
    } finally {
      await lock.release();
    }
  }
}

/** Returns the turn's lock once the service is restarted. */
async function restartInTurn(
  parts: ProcessParts,
  turn: string,
  service: Service,
  mayStop: () => Promise<boolean>,
): Promise<Lock> {
  const { name } = service.target.service;
  for (;;) {
    const lock = await takeTurn(parts, turn, name);
    const permit = { isReady: () => lock.confirm(), isHeld: () => lock.isHeld() };
    const outcome = { isRestarted: false };
    try {
      await until(parts, `too few others are up; ${name} was not restarted`, async () => {
        outcome.isRestarted = (await mayStop()) && (await replaceRouter(service, permit));
        return outcome.isRestarted || !lock.isHeld();
      });
      if (outcome.isRestarted) return lock;
    } finally {
      if (!outcome.isRestarted) await lock.release();
    }
  }
}

function reasonOf(need: ServiceLook["need"]): string {
  return need?.kind === "restart" ? need.why.join(", ") : "it changed";
}

async function isUp(
  context: LocalContext,
  service: ServiceLook["target"]["service"],
): Promise<boolean> {
  const presence = await askPresence(
    service.health,
    askAddress(service),
    healthCredentials(context),
  );
  return presence !== "absent";
}

async function takeTurn(parts: ProcessParts, turn: string, name: string): Promise<Lock> {
  const last: { found: Lock | NoLock } = { found: "taken" };
  const why = (): string =>
    last.found === "silent"
      ? `no majority of the status nodes of twine.conf answers; ${name} was not restarted`
      : `another host's turn to restart one of the ${turn} does not end; ${name} was not restarted`;
  await until(parts, why, async () => {
    last.found = await parts.turns.take(turn);
    return typeof last.found !== "string";
  });
  if (typeof last.found === "string") throw new Error("a turn that was waited for is there");
  return last.found;
}

/** Throws INTERRUPTED, and NOT_READY with `problem` after `waitMs`. */
export async function until(
  { context, waitMs }: Pick<ProcessParts, "context" | "waitMs">,
  problem: string | (() => string),
  isSo: () => boolean | Promise<boolean>,
): Promise<void> {
  const endMs = performance.now() + waitMs;
  while (!(await isSo())) {
    if (context.signal.aborted) throw interrupted(GO_ON);
    if (performance.now() > endMs) {
      throw new TwineError({
        code: "NOT_READY",
        message: typeof problem === "string" ? problem : problem(),
        remedy: "see twine-status, and run twine-apply again: it goes on where it stopped",
      });
    }
    await delay(LOOK_EVERY_MS);
  }
}

export interface Left {
  readonly node: LeftOver;
  readonly host: PlannedHost;
}

/** Running nodes of this machine that twine.conf no longer names, or names on another host. */
export async function leftRunning(
  context: LocalContext,
  hosts: readonly PlannedHost[],
): Promise<Left[]> {
  const all = [...hosts, ...(await findLeftHosts(context))];
  const found = await Promise.all(
    all.map(async (host) => (await findLeftOvers(context, host)).map((node) => ({ node, host }))),
  );
  return found.flat().filter(({ node }) => node.running !== undefined);
}

/** Whether the cluster no longer needs it: the view does not name it at this address any more. */
export function isRetired({ node, host }: Left, view: View): boolean {
  const seen = view.nodes.find(({ name }) => name === node.name);
  if (seen === undefined) return true;
  return seen.host !== host.name || (node.redis !== undefined && seen.port !== node.redis.port);
}

/**
 * A removed monitor would stay alpha by the old file, and the new one would never be adopted. It stops as soon as the
 * remaining monitors can elect another alpha, in turn with the restarts of monitors.
 */
export async function stopLeftMonitors(parts: ProcessParts, left: readonly Left[]): Promise<void> {
  const { access, context } = parts;
  const stay = new Set(nodesOf(context.config, "monitor").map(({ name }) => name));
  const isMonitor = (view: View | null, { node, host }: Left): boolean =>
    view?.nodes.some(
      (seen) => seen.kind === "monitor" && seen.name === node.name && seen.host === host.name,
    ) === true;
  for (const one of left) {
    if (!isMonitor(access.view(), one)) continue;
    const lock = await takeTurn(parts, "monitors", one.node.name);
    try {
      await until(parts, `too few other monitors are up; ${one.node.name} was not stopped`, () => {
        const up = access.view()?.nodes.filter(({ name, role }) => stay.has(name) && role === "up");
        return (up?.length ?? 0) >= majorityOf(stay.size);
      });
      await stopLeft(parts, one);
    } finally {
      await lock.release();
    }
  }
}

/** Why the cluster does not run by this twine.conf yet, and where steps are left. */
export function notAdopted(
  { context }: Pick<ProcessParts, "context">,
  hosts: readonly PlannedHost[],
  view: View | null,
): { readonly node: string; readonly why: string } {
  if (view === null) {
    return { node: "cluster", why: "no majority of the status nodes confirms a view" };
  }
  const here = new Set(hosts.map(({ name }) => name));
  const alpha = view.nodes.find(({ name }) => name === view.alpha);
  const monitors = nodesOf(context.config, "monitor").map(({ host }) => host);
  const elsewhere = [...monitors, ...(alpha === undefined ? [] : [alpha.host])].filter(
    (host) => !here.has(host),
  );
  const where = [...new Set(elsewhere)].join(", ");
  const hint = where === "" ? "; see their logs" : `; run twine-apply on ${where} too`;
  return {
    node: "monitors",
    why: `this twine.conf is not adopted: too few monitors hold it, or not the alpha${hint}`,
  };
}

export async function stopLeft(
  { context, onDone }: ProcessParts,
  { node, host }: Left,
): Promise<void> {
  const own = { ...context, progress: silentProgress, nodes: [], leftOvers: [node.name] };
  await stopHosts(own, [host]);
  await endSupervision(context, node.name);
  onDone({ node: node.name, what: "stopped: it has left the cluster; its folder stays" });
}
