// start.ts: starts what does not run yet: status nodes, data nodes, monitors, routers, each group at once.
// Either everything asked for runs in the end, or everything that this call started is stopped again; when told to keep
// going, what started stays and what failed is named.
import { EXIT, TwineError, assert, type Problem } from "../../runtime/core/errors.ts";
import type { PlannedHost } from "../plan/plan.ts";
import { eachBounded, failuresOf } from "./bounded.ts";
import type { LocalContext } from "./context.ts";
import { TAKEN_BACK, interrupted, isInterruption, launch } from "./launch.ts";
import { isAlive, type RunningProcess } from "./pid-file.ts";
import { checkPassword } from "./password-check.ts";
import { redisMissing } from "./redis-program.ts";
import { portProblems } from "./port-checks.ts";
import { checkSetup, type SetupFindings } from "./start-checks.ts";
import { endProcess } from "./end-process.ts";
import { findTargets, type Target } from "./targets.ts";
import { untilDead } from "./until-dead.ts";

/** Enough to keep both the processors and the disk busy, not so many that every start waits for all others. */
const AT_ONCE = 32;

export interface StartReport {
  readonly started: readonly string[];
  readonly alreadyRunning: readonly string[];
  readonly warnings: readonly Problem[];
  /** Names of those that did not start, and why; only ever filled when told to keep going. */
  readonly failed: readonly string[];
  readonly problems: readonly Problem[];
}

/** What this call has done so far. */
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
 * Throws what password-check.ts, start-checks.ts, port-checks.ts and launch.ts find; after an error nothing that this call
 * started still runs. With `context.keepGoing` a node that can't start is no error but part of the report.
 */
export async function startHosts(
  context: LocalContext,
  hosts: readonly PlannedHost[],
): Promise<StartReport> {
  const targets = await untilDead(await findTargets(context, hosts));
  // First: twine-setup, the remedy for all that comes after it, would only write the password that they refuse.
  await checkPassword(context, targets);
  const found = await checkSetup(context, hosts);
  if (found.problems.length > 0 && !context.keepGoing) {
    throw new TwineError(found.problems.map(({ problem }) => problem));
  }
  const due = targets.filter((target) => target.running === undefined);
  const needsRedis = due.some(({ service }) => service.command[0] === "redis-server");
  if (needsRedis && context.redis === undefined) throw redisMissing();
  const heldBack = heldBackBy(found, due);
  const ports = await portProblems(due.filter((target) => !heldBack.has(target)));
  const done: Progressed = { started: new Map(), failed: new Map([...heldBack, ...ports]) };
  if (done.failed.size > 0 && !context.keepGoing) {
    throw new TwineError([...done.failed.values()].flat());
  }
  const free = due.filter((target) => !done.failed.has(target));
  try {
    for (const order of ordersOf(free)) {
      const group = free.filter(({ service }) => service.order === order);
      await startGroup(context, order, group, done);
    }
  } catch (error) {
    await takeBack(context, done.started);
    throw error;
  }
  const namesOf = (list: readonly Target[]): string[] => list.map(({ service }) => service.name);
  return {
    started: namesOf(due.filter((target) => !done.failed.has(target))),
    alreadyRunning: namesOf(targets.filter((target) => target.running !== undefined)),
    warnings: [...found.warnings, ...concernsNobody(found, due)],
    failed: namesOf([...done.failed.keys()]),
    // One problem may hold many nodes back.
    problems: [...new Set([...done.failed.values()].flat())],
  };
}

function heldBackBy(found: SetupFindings, due: readonly Target[]): Map<Target, readonly Problem[]> {
  const heldBack = due.map((target): [Target, readonly Problem[]] => {
    const own = found.problems.filter(({ holdsBack }) => holdsBack.has(target.service.name));
    return [target, own.map(({ problem }) => problem)];
  });
  return new Map(heldBack.filter(([, problems]) => problems.length > 0));
}

/** What is wrong with files of nodes that run already, or of none: told, but nothing waits for it. */
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
  // The first failure ends the waiting of the others: all of them are taken back anyway.
  const failure = new AbortController();
  const signal = AbortSignal.any([context.signal, failure.signal]);
  const outcomes = await eachBounded(group, AT_ONCE, async (target) => {
    try {
      await launch(context, target, signal, (process) => done.started.set(target, process));
      const { service } = target;
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

/** Keeps the failure for the report; a process that is there but never answered must not stay either. */
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
  const outcome = await endProcess({ ...target, running }, context.progress);
  if (outcome.kind === "refused") context.progress.note(outcome.why);
}

/** All real failures in one error; those that were only called off say nothing new. */
function errorOf(context: LocalContext, failures: readonly unknown[]): Error {
  if (context.signal.aborted) return interrupted(TAKEN_BACK);
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

async function takeBack(
  context: LocalContext,
  started: ReadonlyMap<Target, RunningProcess>,
): Promise<void> {
  if (started.size === 0) return;
  context.progress.note(`stopping the ${started.size} that this call had started`);
  const orders = [...new Set([...started.keys()].map(({ service }) => service.order))];
  for (const order of orders.sort((a, b) => b - a)) {
    const group = [...started].filter(([target]) => target.service.order === order);
    await Promise.all(
      group.map(async ([target, process]) => {
        const outcome = await endProcess({ ...target, running: process }, context.progress);
        if (outcome.kind === "refused") context.progress.note(outcome.why);
      }),
    );
  }
}
