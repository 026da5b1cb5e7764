// stop.ts: stops what twine-start started on some hosts, stage by stage (stop-order.ts), and nothing else.
import { EXIT, TwineError, type Problem } from "../../../runtime/core/errors.ts";
import type { PlannedHost } from "../../plan/plan.ts";
import { askRole } from "../ask.ts";
import { eachBounded, failuresOf } from "../bounded.ts";
import type { LocalContext } from "../context.ts";
import { endProcess, type Ending } from "./end-process.ts";
import { interrupted, isInterruption } from "./launch.ts";
import { findLeftOvers, type LeftOver } from "../files/left-overs.ts";
import { namesOf } from "../files/names.ts";
import { removePidFile } from "../files/pid-file.ts";
import { findElsewhere, type Elsewhere } from "./elsewhere.ts";
import { silenceOf, silenceOfNode } from "./silence.ts";
import { systemctl, unitOfProcess } from "../supervisor/systemd.ts";
import { STOP_STAGES, stopStage, type StopStage } from "./stop-order.ts";
import { askAddress, findTargets, healthCredentials, type Target } from "../targets.ts";

const AT_ONCE = 64;
const LEFT_OVER_GRACE_MS = 20_000;

export interface StopReport {
  readonly stopped: readonly string[];
  readonly notRunning: readonly string[];
  /** Monitors and routers that had to be killed. */
  readonly killed: readonly string[];
  /** Those of `notRunning` that do run, started from another folder. */
  readonly elsewhere: readonly Elsewhere[];
  readonly warnings: readonly Problem[];
}

interface Stopping {
  readonly stage: StopStage;
  readonly ending: Ending;
}

/** What is to be stopped, and the results so far. */
interface Work {
  readonly all: readonly Stopping[];
  readonly mayStop: () => boolean;
  readonly stopped: string[];
  readonly killed: string[];
  readonly problems: Problem[];
}

/**
 * `mayStop` is asked in the same event-loop tick as each signal; TURN_LOST when it is false.
 * Throws STOP_REFUSED, after stopping all others, with every node that still runs; INTERRUPTED with what was stopped
 * and what still runs.
 */
export async function stopHosts(
  context: LocalContext,
  hosts: readonly PlannedHost[],
  mayStop: () => boolean = () => true,
): Promise<Omit<StopReport, "warnings">> {
  const targets = await findTargets(context, hosts);
  const leftOvers = await askedLeftOvers(context, hosts);
  const idle = [...targets, ...leftOvers].filter(({ running }) => running === undefined);
  // The process that such a file names has ended, or its pid belongs to another process by now.
  for (const { paths } of idle) await removePidFile(paths.pidFile);
  const stoppings = [
    ...(await Promise.all(targets.map((target) => stoppingOf(context, target)))),
    ...leftOvers.map(leftOverStopping),
  ].filter((stopping) => stopping !== undefined);
  const work: Work = { all: stoppings, mayStop, stopped: [], killed: [], problems: [] };
  for (const stage of STOP_STAGES) {
    const group = stoppings.filter((stopping) => stopping.stage === stage);
    if (group.length > 0) await stopStageOf(context, stage, group, work);
  }
  const { stopped, killed, problems } = work;
  if (problems.length > 0) throw new TwineError(problems);
  const notRunning = idle.map((each) => ("service" in each ? each.service.name : each.name));
  const elsewhere = await findElsewhere(targets.filter(({ running }) => running === undefined));
  return { stopped, killed, notRunning, elsewhere };
}

/** The named ones, or all that run; if `nodes` names nodes of twine.conf, only those are stopped. */
async function askedLeftOvers(
  context: LocalContext,
  hosts: readonly PlannedHost[],
): Promise<LeftOver[]> {
  const { nodes, leftOvers } = context;
  if (nodes !== undefined && leftOvers === undefined) return [];
  const found = (await Promise.all(hosts.map((host) => findLeftOvers(context, host)))).flat();
  return leftOvers === undefined
    ? found.filter(({ running }) => running !== undefined)
    : found.filter(({ name }) => leftOvers.includes(name));
}

async function stoppingOf(context: LocalContext, target: Target): Promise<Stopping | undefined> {
  const { service, running } = target;
  if (running === undefined) return undefined;
  const role =
    service.kind === "data"
      ? await askRole(askAddress(service), service.health.port, healthCredentials(context))
      : undefined;
  return {
    stage: stopStage(service.kind, role),
    ending: { ...target, running, silence: () => silenceOf(context, service, running.pid) },
  };
}

/** It stops before the status nodes, whatever kind it was; a Redis gets the time to save its data. */
function leftOverStopping({ name, paths, running, redis }: LeftOver): Stopping | undefined {
  if (running === undefined) return undefined;
  const data = redis === undefined ? {} : { dataFolder: "data" };
  const service = { name, graceMs: LEFT_OVER_GRACE_MS, ...data };
  return {
    stage: redis === undefined ? "monitors" : "masters",
    ending: {
      service,
      paths,
      running,
      silence: () =>
        redis === undefined
          ? Promise.resolve(undefined)
          : silenceOfNode(redis.address, redis.port, running.pid),
    },
  };
}

async function stopStageOf(
  context: LocalContext,
  title: StopStage,
  group: readonly Stopping[],
  work: Work,
): Promise<void> {
  const stage = context.progress.stage(`stopping ${title}`, group.length);
  const outcomes = await eachBounded(group, AT_ONCE, async ({ ending }) => {
    if (context.signal.aborted) throw interrupted(STOP_THE_REST);
    const { name } = ending.service;
    const unit = await unitOfProcess(ending.running.pid);
    if (!work.mayStop()) throw turnLost(name);
    // systemd restarts a process that ends without systemctl. `systemctl stop` waits until the process has ended.
    if (unit !== undefined) await systemctl("stop", unit);
    const guard = unit === undefined ? work.mayStop : () => true;
    const outcome = await endProcess(ending, context.progress, guard);
    switch (outcome.kind) {
      case "ended":
        work.stopped.push(name);
        stage.item(name, "stopped");
        return;
      case "killed":
        work.stopped.push(name);
        work.killed.push(name);
        stage.item(name, "killed, because it did not end when asked");
        return;
      case "not-now":
        throw turnLost(name);
      case "refused":
        work.problems.push({
          code: "STOP_REFUSED",
          message: outcome.why,
          remedy: outcome.remedy,
        });
        return;
      default:
        outcome satisfies never;
    }
  });
  const [failure] = failuresOf(outcomes);
  await stage.end(failure);
  if (failure !== undefined) throw isInterruption(failure) ? halfStopped(work) : failure;
}

function turnLost(name: string): TwineError {
  return new TwineError({
    code: "TURN_LOST",
    message: `${name} was not stopped: this command was suspended for some seconds, and another host may have its turn now`,
    remedy: "run it again",
  });
}

export function isTurnLost(error: unknown): boolean {
  return error instanceof TwineError && error.code === "TURN_LOST";
}

const STOP_THE_REST = "run twine-stop again to stop the rest";

function halfStopped({ all, stopped, problems }: Work): TwineError {
  const names = all.map(({ ending }) => ending.service.name);
  const left = names.filter((name) => !stopped.includes(name));
  const message = `interrupted; stopped: ${namesOf(stopped)}; still running: ${namesOf(left)}`;
  return new TwineError([{ code: "INTERRUPTED", message, remedy: STOP_THE_REST }, ...problems], {
    exitCode: EXIT.interrupted,
  });
}
