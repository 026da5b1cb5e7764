// commands.ts: setup, start and stop as calls, for the tools and for programs that do all three (npm start).
import { TwineError, type Problem } from "../../runtime/core/errors.ts";
import type { PlannedHost } from "../plan/plan.ts";
import { hostsToRun, hostsToStop, namedHosts } from "./choose-hosts.ts";
import { localContext, type LocalContext, type LocalRequest } from "./context.ts";
import { makeFolder } from "./files.ts";
import { withLocks } from "./host-lock.ts";
import { interrupted, TAKEN_BACK } from "./launch.ts";
import { hostFolder, lockFile } from "./layout.ts";
import { findLeftHosts, findLeftOvers, type LeftOver } from "./left-overs.ts";
import { checkPassword } from "./password-check.ts";
import { findTargets, isSetUp } from "./targets.ts";
import { applyHost, inspectHost, type HostSetup, type SetupOptions } from "./setup.ts";
import { startHosts, type StartReport } from "./start.ts";
import { editedByHand } from "./start-checks.ts";
import { stopHosts, type StopReport } from "./stop.ts";

export interface SetupReport {
  readonly hosts: readonly HostSetup[];
  readonly warnings: readonly Problem[];
}

/** Writes the folders of one host or of all. Nothing is written when anything must be refused. */
export async function setup(
  request: LocalRequest,
  options: SetupOptions = { overwrite: false, adopt: false },
): Promise<SetupReport> {
  const context = await localContext(request);
  const hosts = namedHosts(context.plan, request.host);
  for (const host of hosts) await makeFolder(hostFolder(context.folder, host.name));
  return locked(context, hosts, async () => {
    const states = [];
    for (const host of hosts) states.push(await inspectHost(context, host, options));
    const problems = states.flatMap((state) => state.problems.map(({ problem }) => problem));
    if (problems.length > 0) throw new TwineError(problems);
    const done: HostSetup[] = [];
    for (const state of states) done.push(await applyHost(context, state));
    const edited = states.flatMap((state) =>
      state.files.filter((file) => file.decision === "edited").map((file) => file.path),
    );
    const warnings = [
      ...context.plan.warnings,
      ...edited.map(editedByHand),
      ...done.flatMap(leftOverWarnings),
    ];
    return { hosts: done, warnings };
  });
}

function leftOverWarnings(done: HostSetup): Problem[] {
  return done.leftOver.map((folder) => ({
    code: "FOLDER_LEFT_OVER",
    message: `${done.folder}/${folder} belongs to no node of twine.conf any more and is left as it is`,
    remedy: "remove it when you no longer need what it holds",
  }));
}

/** Throws PASSWORD_DIFFERS when what runs here refuses the password: to be asked before setup writes another one. */
export async function checkRunning(request: LocalRequest): Promise<void> {
  const context = await localContext(request);
  const hosts = hostsToRun(context.plan, request.host, context.isHere);
  await checkPassword(context, await findTargets(context, hosts));
}

/** Throws HOST_UNKNOWN or HOST_NOT_HERE. */
export async function requireHere(request: LocalRequest): Promise<void> {
  const { plan, isHere } = await localContext(request);
  hostsToRun(plan, request.host, isHere);
}

/** Starts what does not run yet on the named host, or on those of this machine. */
export async function start(request: LocalRequest): Promise<StartReport> {
  const context = await localContext(request);
  const hosts = hostsToRun(context.plan, request.host, context.isHere);
  const report = await locked(context, hosts, () => startHosts(context, hosts));
  return { ...report, warnings: [...context.plan.warnings, ...report.warnings] };
}

/** Stops what was started on the named host, or on those of this machine; hosts that left twine.conf are among them. */
export async function stop(request: LocalRequest): Promise<StopReport> {
  const context = await localContext(request);
  const left = await findLeftHosts(context);
  const running = await Promise.all(left.map((host) => hasRunning(context, host)));
  const hosts = hostsToStop(context.plan, request.host, context.isHere, {
    left,
    leftRunning: left.filter((_, index) => running[index]),
  });
  const warnings: Problem[] = [];
  // A disk that is full or read-only must not keep anything running.
  const report = await locked(
    context,
    hosts,
    () => stopHosts(context, hosts),
    (path, why) => warnings.push(unlocked(path, why)),
  );
  return { ...report, warnings };
}

async function hasRunning(context: LocalContext, host: PlannedHost): Promise<boolean> {
  return (await findLeftOvers(context, host)).some(({ running }) => running !== undefined);
}

/**
 * The node of that name that twine.conf no longer has on this machine, though its folder is still here. One that has moved
 * to another host counts only while it runs here.
 */
export async function findLeftNode(
  request: LocalRequest,
  name: string,
): Promise<LeftOver | undefined> {
  const context = await localContext(request);
  const named = (host: PlannedHost): boolean => host.services.some((other) => other.name === name);
  const here = context.plan.hosts.filter(context.isHere);
  if (here.some(named)) return undefined;
  const hosts = [...here, ...(await findLeftHosts(context))];
  const left = (await Promise.all(hosts.map((host) => findLeftOvers(context, host)))).flat();
  const found = left.filter((other) => other.name === name);
  const running = found.find((other) => other.running !== undefined);
  return running ?? (context.plan.hosts.some(named) ? undefined : found[0]);
}

/** After an interruption that came when `started` already ran: stops those, whatever else runs. Throws INTERRUPTED. */
export async function takeBackStarted(
  request: LocalRequest,
  started: readonly string[],
): Promise<never> {
  if (started.length > 0) {
    request.progress.note(`stopping the ${started.length} that this call had started`);
    await stop({ ...request, nodes: started, signal: undefined });
  }
  throw interrupted(started.length > 0 ? TAKEN_BACK : NOTHING_TAKEN_BACK);
}

const NOTHING_TAKEN_BACK = "this call had started nothing, and what runs goes on";

function unlocked(path: string, why: TwineError): Problem {
  return {
    code: "LOCK_UNWRITABLE",
    message: `stopped without the lock that keeps two commands apart: ${why.problems[0]?.message ?? path}`,
    remedy: "let that folder be writable again before the next start",
  };
}

/** Only folders that exist are locked: without one there is nothing that two commands could both touch. */
async function locked<T>(
  context: LocalContext,
  hosts: readonly PlannedHost[],
  work: () => Promise<T>,
  onUnwritable?: (path: string, why: TwineError) => void,
): Promise<T> {
  const known = [];
  for (const host of hosts) if (await isSetUp(context, host)) known.push(host);
  return withLocks(
    known.map((host) => lockFile(context.folder, host.name)),
    work,
    onUnwritable,
  );
}
