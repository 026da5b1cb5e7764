// start.ts: starts the processes that do not run yet: status nodes, data nodes, monitors, routers, each group in parallel.
// Either everything runs at the end, or everything that this call started is stopped again; with --keep-going, started
// processes stay and failed ones are named.
import { EXIT, TwineError, assert, type Problem } from "../../../runtime/core/errors.ts";
import type { PlannedHost } from "../../plan/plan.ts";
import { eachBounded, failuresOf } from "../bounded.ts";
import type { LocalContext } from "../context.ts";
import { STOPPED_AGAIN, interrupted, isInterruption, launch } from "./launch.ts";
import { isAlive, type RunningProcess } from "../files/pid-file.ts";
import { checkPassword } from "../password-check.ts";
import { redisMissing } from "../install/redis-program.ts";
import { portProblems } from "./port-checks.ts";
import { confProblems } from "./running-conf.ts";
import { checkSetup, type SetupFindings } from "./start-checks.ts";
import { endProcess, type Ending } from "./end-process.ts";
import { findTargets, type Target } from "../targets.ts";
import { oldConfProblems, rememberShape } from "./running-shape.ts";
import { silenceOf, silenceProblems } from "./silence.ts";
import { isStoppedByHand } from "../supervisor/monit.ts";
import { untilDead } from "./until-dead.ts";

/** Enough to use the processors and the disk, but not so many that every start waits for all others. */
const AT_ONCE = 32;

export interface StartReport {
  readonly started: readonly string[];
  readonly alreadyRunning: readonly string[];
  /** Names of those that already run but do not answer; `problems` has the reasons. */
  readonly silent: readonly string[];
  readonly warnings: readonly Problem[];
  /** Names of those that did not start; `problems` has the reasons. Filled only with --keep-going. */
  readonly failed: readonly string[];
  readonly problems: readonly Problem[];
}

/** What this call has started so far. */
interface Progressed {
  readonly started: Map<Target, RunningProcess>;
  readonly failed: Map<Target, readonly Problem[]>;
}

const STAGES: Readonly<Record<number, string>> = {
  0: "status nodes",
  1: "data nodes",
  2: "monitors",
  3: "routers",
};

/**
 * Throws the errors of password-check.ts, start-checks.ts, port-checks.ts and launch.ts; after an error nothing that this
 * call started still runs. With `context.keepGoing` a node that can't start is no error but part of the report.
 */
export async function startHosts(
  context: LocalContext,
  hosts: readonly PlannedHost[],
): Promise<StartReport> {
  const targets = await untilDead(await findTargets(context, hosts));
  // First, because twine-setup, the remedy for the other checks, would only write the password that the nodes refuse.
  await checkPassword(context, targets);
  const found = await checkSetup(context, hosts);
  const due = await dueOf(context, targets);
  const needsRedis = due.some(({ service }) => service.command[0] === "redis-server");
  if (needsRedis && context.redis === undefined) throw redisMissing();
  const heldBack = heldBackBy(found, due);
  const ports = await portProblems(due.filter((target) => !heldBack.has(target)));
  const done: Progressed = { started: new Map(), failed: new Map([...heldBack, ...ports]) };
  if (done.failed.size > 0 && !context.keepGoing) {
    throw new TwineError([...new Set([...done.failed.values()].flat())]);
  }
  const free = due.filter((target) => !done.failed.has(target));
  try {
    for (const order of ordersOf(free)) {
      const group = free.filter(({ service }) => service.order === order);
      await startGroup(context, order, group, done);
    }
  } catch (error) {
    await stopAgain(context, done.started);
    throw error;
  }
  const running = targets.filter((target) => target.running !== undefined);
  const silent = await silenceProblems(context, running);
  const differing = await confProblems(
    context,
    running.filter(({ service }) => !silent.has(service.name)),
  );
  const old = await oldConfProblems(context, running);
  const namesOf = (list: readonly Target[]): string[] => list.map(({ service }) => service.name);
  return {
    started: namesOf(due.filter((target) => !done.failed.has(target))),
    alreadyRunning: namesOf(running),
    silent: [...silent.keys()],
    warnings: [...found.warnings, ...concernsNobody(found, due), ...differing, ...old],
    failed: namesOf([...done.failed.keys()]),
    // One problem may block many nodes.
    problems: [...new Set([...done.failed.values()].flat()), ...silent.values()],
  };
}

/** The services that do not run; when monit asks, without those that an operator stopped. */
async function dueOf(context: LocalContext, targets: readonly Target[]): Promise<Target[]> {
  const idle = targets.filter((target) => target.running === undefined);
  if (context.monitNode === undefined) return idle;
  const stopped = await Promise.all(idle.map(isStoppedByHand));
  return idle.filter(
    ({ service }, index) => service.name === context.monitNode || stopped[index] !== true,
  );
}

function heldBackBy(found: SetupFindings, due: readonly Target[]): Map<Target, readonly Problem[]> {
  const heldBack = due.map((target): [Target, readonly Problem[]] => {
    const own = found.problems.filter(({ holdsBack }) => holdsBack.has(target.service.name));
    return [target, own.map(({ problem }) => problem)];
  });
  return new Map(heldBack.filter(([, problems]) => problems.length > 0));
}

/** Problems with files of nodes that already run, or of no node (scripts): they are reported and block nothing. */
function concernsNobody(found: SetupFindings, due: readonly Target[]): Problem[] {
  const names = due.map(({ service }) => service.name);
  return found.problems
    .filter(({ holdsBack }) => !names.some((name) => holdsBack.has(name)))
    .map(({ problem }) => problem);
}

function ordersOf(targets: readonly Target[]): number[] {
  return [...new Set(targets.map(({ service }) => service.order))].sort((a, b) => a - b);
}

async function startGroup(
  context: LocalContext,
  order: number,
  group: readonly Target[],
  done: Progressed,
): Promise<void> {
  const stage = context.progress.stage(`starting ${STAGES[order] ?? "services"}`, group.length);
  // The first failure ends the waits of the others: all of them are stopped anyway.
  const failure = new AbortController();
  const signal = AbortSignal.any([context.signal, failure.signal]);
  const outcomes = await eachBounded(group, AT_ONCE, async (target) => {
    try {
      await launch(context, target, signal, (process) => done.started.set(target, process));
      const { service } = target;
      const process = done.started.get(target);
      if (process !== undefined) await rememberShape(context, target, process);
      stage.item(service.name, `started on ${service.bind[0] ?? ""}:${service.health.port}`);
    } catch (error) {
      if (context.keepGoing && error instanceof TwineError && !isInterruption(error)) {
        await leaveOut(context, target, error, done);
        stage.item(target.service.name, "did not start");
        return;
      }
      failure.abort();
      throw error;
    }
  });
  const failures = failuresOf(outcomes);
  const error = failures.length === 0 ? undefined : errorOf(context, failures);
  await stage.end(error);
  if (error !== undefined) throw error;
}

/** Records the failure for the report; a process that runs but never answered is ended too. */
async function leaveOut(
  context: LocalContext,
  target: Target,
  failure: TwineError,
  { started, failed }: Progressed,
): Promise<void> {
  failed.set(target, failure.problems);
  const running = started.get(target);
  started.delete(target);
  if (running === undefined || !(await isAlive(running))) return;
  const outcome = await endProcess(endingOf(context, target, running), context.progress);
  if (outcome.kind === "refused") context.progress.note(outcome.why);
}

/** All real failures in one error; those that were only cancelled add nothing. */
function errorOf(context: LocalContext, failures: readonly unknown[]): Error {
  if (context.signal.aborted) return interrupted(STOPPED_AGAIN);
  const real = failures.filter((failure) => !isInterruption(failure));
  const strange = real.find((failure) => !(failure instanceof TwineError));
  if (strange instanceof Error) return strange;
  const known = real.filter((failure) => failure instanceof TwineError);
  assert(known.length > 0, "a start that is called off has a failure that called it off");
  return new TwineError(
    known.flatMap((failure) => failure.problems),
    { exitCode: EXIT.failure, cause: known[0] },
  );
}

function endingOf(context: LocalContext, target: Target, running: RunningProcess): Ending {
  return { ...target, running, silence: () => silenceOf(context, target.service, running.pid) };
}

async function stopAgain(
  context: LocalContext,
  started: ReadonlyMap<Target, RunningProcess>,
): Promise<void> {
  if (started.size === 0) return;
  context.progress.note(`stopping the ${started.size} that this command had started`);
  const orders = [...new Set([...started.keys()].map(({ service }) => service.order))];
  for (const order of orders.sort((a, b) => b - a)) {
    const group = [...started].filter(([target]) => target.service.order === order);
    await Promise.all(
      group.map(async ([target, process]) => {
        const outcome = await endProcess(endingOf(context, target, process), context.progress);
        if (outcome.kind === "refused") context.progress.note(outcome.why);
      }),
    );
  }
}
