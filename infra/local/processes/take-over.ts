// take-over.ts: starts a second process of a router beside the first, which ends once the second listens.
//
//   spawn with --take-over OLD ─▶ both listen (SO_REUSEPORT) ─▶ the new one sends SIGTERM ─▶ the old one drains ─▶ gone
//           └─ the new one ends before that: the old one goes on, and its pid file is written again
//
// The new process itself ends the old one, so a tool that dies meanwhile leaves no two of them.
import { setTimeout as delay } from "node:timers/promises";
import { TwineError } from "../../../runtime/core/errors.ts";
import type { LocalContext } from "../context.ts";
import { isAlive, removePidFile, writePidFile, type RunningProcess } from "../files/pid-file.ts";
import type { Target } from "../targets.ts";
import { lastLines, logSince, logSize } from "../files/log-tail.ts";
import { endProcess } from "./end-process.ts";
import { launch } from "./launch.ts";
import { rememberShape } from "./running-shape.ts";

const LOOK_EVERY_MS = 25;
/** To start, before the old process begins to drain. */
const UP_WITHIN_MS = 60_000;

/** Throws START_FAILED when the new process ends before it listens; the old one runs as before then. */
export async function takeOver(
  context: LocalContext,
  target: Target,
  old: RunningProcess,
): Promise<void> {
  const { service, paths } = target;
  const started: RunningProcess[] = [];
  const extras = { args: ["--take-over", String(old.pid)] };
  const beside = { ...context, launchExtras: () => extras };
  const logFrom = await logSize(paths.logFile);
  try {
    // The old process answers on the port: that the new one listens shows only in the end of the old one.
    await launch(beside, target, context.signal, (process) => started.push(process));
  } catch (error) {
    if (await isAlive(old)) await writePidFile(paths.pidFile, old.pid);
    throw error;
  }
  const [fresh] = started;
  const endMs = performance.now() + UP_WITHIN_MS + service.graceMs;
  while (await isAlive(old)) {
    if (fresh === undefined || !(await isAlive(fresh))) {
      await writePidFile(paths.pidFile, old.pid);
      throw notTakenOver(target, lastLines(await logSince(paths.logFile, logFrom), 6));
    }
    if (performance.now() > endMs) {
      await endHung(context, target, old, fresh);
      break;
    }
    await delay(LOOK_EVERY_MS);
  }
  if (fresh !== undefined) await rememberShape(context, target, fresh);
}

function notTakenOver({ service, paths }: Target, words: string): TwineError {
  return new TwineError({
    code: "START_FAILED",
    message: `the new process of ${service.name} ended before it listened, and the old one goes on; ${paths.logFile} says:\n${words || "    (nothing)"}`,
    remedy: "remove the cause, and run twine-apply again",
  });
}

/** It does not end although it was asked to (SIGSTOP, for example). */
async function endHung(
  context: LocalContext,
  target: Target,
  old: RunningProcess,
  fresh: RunningProcess,
): Promise<void> {
  const ending = { ...target, running: old, silence: () => Promise.resolve(undefined) };
  const outcome = await endProcess(ending, context.progress);
  if (outcome.kind === "refused") {
    await writePidFile(target.paths.pidFile, old.pid);
    const { why: message, remedy } = outcome;
    throw new TwineError({ code: "STOP_REFUSED", message, remedy });
  }
  await removePidFile(target.paths.pidFile);
  await writePidFile(target.paths.pidFile, fresh.pid);
}
