// commands.ts: setup, start and stop as functions, for the tools and for programs that do all three (npm start).
import { TwineError, type Problem } from "../../runtime/core/errors.ts";
import type { PlannedHost } from "../plan/plan.ts";
import { hostsToRun, hostsToStop, namedHosts } from "./choose-hosts.ts";
import { localContext, type LocalContext, type LocalRequest } from "./context.ts";
import { makeFolder } from "./files/files.ts";
import { withLocks } from "./files/host-lock.ts";
import { interrupted, STOPPED_AGAIN } from "./processes/launch.ts";
import { hostFolder, lockFile } from "./files/layout.ts";
import { namesOf } from "./files/names.ts";
import { findLeftHosts, findLeftOvers, type LeftOver } from "./files/left-overs.ts";
import { checkPassword } from "./password-check.ts";
import { findTargets, isSetUp } from "./targets.ts";
import { applyHost, inspectHost, type HostSetup, type SetupOptions } from "./files/setup.ts";
import { oldConfProblems } from "./processes/running-shape.ts";
import { reloadHosts, type ReloadReport } from "./processes/reload.ts";
import { startHosts, type StartReport } from "./processes/start.ts";
import { editedByHand } from "./processes/start-checks.ts";
import { monitorAgain, unmonitor } from "./supervisor/monit.ts";
import { installUnits as installUnitsOf, type InstalledUnits } from "./supervisor/systemd.ts";
import { stopHosts, type StopReport } from "./processes/stop.ts";

export interface SetupReport {
  readonly hosts: readonly HostSetup[];
  readonly warnings: readonly Problem[];
}

/** Writes the folders of one host or of all. Writes nothing when anything is refused. */
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
      ...(await oldFilesRun(context, hosts, done)),
    ];
    return { hosts: done, warnings };
  });
}

/** Nodes that run here and whose files were just replaced: they keep the settings of their start. */
async function oldFilesRun(
  context: LocalContext,
  hosts: readonly PlannedHost[],
  done: readonly HostSetup[],
): Promise<Problem[]> {
  const targets = await findTargets({ ...context, nodes: undefined, only: undefined }, hosts);
  const running = targets.filter((target) => target.running !== undefined);
  const written = new Set(done.flatMap((one) => one.written.map((path) => `${one.host}/${path}`)));
  const old = running.filter(({ host, service }) =>
    ["redis.conf", "users.acl"].some((file) => written.has(`${host}/${service.folder}/${file}`)),
  );
  const names = old.map(({ service }) => service.name);
  const conf = await oldConfProblems(context, running);
  if (names.length === 0) return conf;
  return [
    {
      code: "CONF_DIFFERS",
      message: `${namesOf(names)} ${names.length === 1 ? "runs" : "run"} with the files from before: Redis reads them at its start alone`,
      remedy:
        "run twine-apply: what Redis can change is set while it runs, and the rest is restarted one node of a partition at a time",
    },
    ...conf,
  ];
}

function leftOverWarnings(done: HostSetup): Problem[] {
  return done.leftOver.map((folder) => ({
    code: "FOLDER_LEFT_OVER",
    message: `${done.folder}/${folder} belongs to no node of twine.conf any more; it is not touched`,
    remedy: "remove it when you no longer need its data",
  }));
}

/** Throws PASSWORD_DIFFERS when a running node refuses the password: call it before setup writes another one. */
export async function checkRunning(request: LocalRequest): Promise<void> {
  const context = await localContext(request);
  const hosts = hostsToRun(context, request.host);
  await checkPassword(context, await findTargets(context, hosts));
}

/** Throws HOST_UNKNOWN or HOST_NOT_HERE. */
export async function requireHere(request: LocalRequest): Promise<void> {
  const context = await localContext(request);
  hostsToRun(context, request.host);
}

/** The named host, or those of this machine; empty when all of them were removed from twine.conf. Throws HOST_NOT_HERE. */
export async function hostNamesHere(request: LocalRequest): Promise<readonly string[]> {
  const context = await localContext(request);
  if (request.host !== undefined) return hostsToRun(context, request.host).map(({ name }) => name);
  return context.plan.hosts.filter(context.isHere).map(({ name }) => name);
}

/** Starts the processes that do not run yet, on the named host or on those of this machine. */
export async function start(request: LocalRequest): Promise<StartReport> {
  const context = await localContext(request);
  const hosts = hostsToRun(context, request.host);
  const report = await locked(context, hosts, () => startHosts(context, hosts));
  const isByHand = context.supervisor === "monit" && context.monitNode === undefined;
  const monitored = isByHand ? await monitorAgain(context, await findTargets(context, hosts)) : [];
  return { ...report, warnings: [...context.plan.warnings, ...report.warnings, ...monitored] };
}

/** Stops the started processes of the named host, or of those of this machine, including hosts removed from twine.conf. */
export async function stop(request: LocalRequest): Promise<StopReport> {
  const context = await localContext(request);
  const left = await findLeftHosts(context);
  const running = await Promise.all(left.map((host) => hasRunning(context, host)));
  const hosts = hostsToStop(context, request.host, {
    left,
    leftRunning: left.filter((_, index) => running[index]),
  });
  const warnings: Problem[] = [];
  if (context.supervisor === "monit" && request.isFromMonit !== true) {
    await unmonitor(context, await findTargets(context, hosts));
  }
  // A full or read-only disk must not prevent the stop.
  const report = await locked(
    context,
    hosts,
    () => stopHosts(context, hosts),
    (path, why) => warnings.push(unlocked(path, why)),
  );
  return { ...report, warnings };
}

/** Installs the units that setup has written, of the named host or of this machine's. Throws UNITS_NONE, UNIT_FAILED. */
export async function installUnits(request: LocalRequest): Promise<readonly InstalledUnits[]> {
  const context = await localContext(request);
  if (context.supervisor !== "systemd") {
    throw new TwineError({
      code: "UNITS_NONE",
      message: `--install-units: ${request.config.file} says supervisor ${context.supervisor}`,
      remedy: "write supervisor systemd in twine.conf",
    });
  }
  const installed: InstalledUnits[] = [];
  for (const host of hostsToRun(context, request.host)) {
    installed.push(await installUnitsOf(context, host.name));
  }
  return installed;
}

/** Sends SIGHUP to the monitors and routers of the named host, of this machine's hosts, or to the one named in `nodes`. */
export async function reload(request: LocalRequest): Promise<ReloadReport> {
  const context = await localContext(request);
  return reloadHosts(context, hostsToRun(context, request.host));
}

async function hasRunning(context: LocalContext, host: PlannedHost): Promise<boolean> {
  return (await findLeftOvers(context, host)).some(({ running }) => running !== undefined);
}

/**
 * The node of that name that twine.conf no longer has on this machine but whose folder is still here. A node that has moved
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

/** After an interruption that came when `started` already ran: stops those, even if others run. Throws INTERRUPTED. */
export async function stopStarted(
  request: LocalRequest,
  started: readonly string[],
): Promise<never> {
  if (started.length > 0) {
    request.progress.note(`stopping the ${started.length} that this command had started`);
    await stop({ ...request, nodes: started, signal: undefined });
  }
  throw interrupted(started.length > 0 ? STOPPED_AGAIN : NOTHING_STARTED);
}

const NOTHING_STARTED = "this command had started nothing; what was running before keeps running";

function unlocked(path: string, why: TwineError): Problem {
  return {
    code: "LOCK_UNWRITABLE",
    message: `stopped without taking the lock against a second command: ${why.problems[0]?.message ?? path}`,
    remedy: "make that folder writable again before the next start",
  };
}

/** Only existing folders are locked: without a folder, two commands can't conflict. */
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
