// launch.ts: starts one service as a process that outlives us, and waits until it answers.
//
//   spawn (own session, output to its log) -> pid file -> asks until it answers | ended | too long | interrupted
//
// Redis answers "LOADING" while it reads its data, and ends when it finds at last that it can't read them: so that is no
// answer yet, unless it takes very long.
import { spawn, type ChildProcess } from "node:child_process";
import { open } from "node:fs/promises";
import { resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { EXIT, TwineError, assert } from "../../runtime/core/errors.ts";
import type { PlannedService } from "../plan/plan.ts";
import { askPresence } from "./ask.ts";
import type { LocalContext } from "./context.ts";
import { endChild, hasEnded } from "./end-child.ts";
import { fileError, makeFolder } from "./files.ts";
import { lastLines, logSince, logSize } from "./log-tail.ts";
import { removePidFile, writePidFile, type RunningProcess } from "./pid-file.ts";
import { redisMissing } from "./redis-program.ts";
import { askAddress, healthCredentials, type Target } from "./targets.ts";

const UP_WITHIN_MS = 60_000;
const ASK_EVERY_MS = 15;
const UNKNOWN_GRACE_MS = 3000;
export const TAKEN_BACK = "what this call had started is stopped again; run it again when you like";

/**
 * Starts `target` and returns when it answers. `onStarted` hears of the process as soon as there is one, so that the
 * caller can end it again whatever comes.
 * Throws START_FAILED with the process's last words, START_SLOW, or INTERRUPTED.
 */
export async function launch(
  context: LocalContext,
  target: Target,
  signal: AbortSignal,
  onStarted: (started: RunningProcess) => void,
): Promise<void> {
  if (signal.aborted) throw interrupted(TAKEN_BACK);
  const { service, paths } = target;
  await makeFolder(paths.folder);
  const logFrom = await logSize(paths.logFile);
  const child = await spawnDetached(context, target);
  try {
    assert(child.pid !== undefined, "a spawned process has a pid");
    const started = await rememberPid(paths.pidFile, child.pid, child);
    if (started !== undefined) onStarted(started);
    const outcome = await waitUntilUp(context, service, child, signal);
    if (outcome === "up") return;
    if (outcome === "interrupted") throw interrupted(TAKEN_BACK);
    const words = lastLines(await logSince(paths.logFile, logFrom), 6);
    if (outcome === "ended") await removePidFile(paths.pidFile);
    throw startFailed(target, outcome, child, words);
  } finally {
    child.unref();
  }
}

/** A process whose pid can't be remembered (full disk) could never be stopped again, so it ends at once. */
async function rememberPid(
  path: string,
  pid: number,
  child: ChildProcess,
): Promise<RunningProcess | undefined> {
  try {
    return await writePidFile(path, pid);
  } catch (error) {
    await endChild(child, UNKNOWN_GRACE_MS);
    throw error;
  }
}

async function spawnDetached(context: LocalContext, target: Target): Promise<ChildProcess> {
  const { service, paths } = target;
  const [program = "", ...args] = commandOf(context, service);
  const log = await open(paths.logFile, "a").catch((error: unknown) => {
    throw fileError("write", paths.logFile, error);
  });
  try {
    const child = spawn(program, args, {
      cwd: paths.folder,
      detached: true,
      stdio: ["ignore", log.fd, log.fd],
      env: serviceEnv(process.env),
    });
    await new Promise<void>((done, failed) => {
      child.once("spawn", done);
      child.once("error", failed);
    });
    return child;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TwineError(
      {
        code: "START_FAILED",
        message: `node ${service.name}: can't run ${program}: ${why}`,
        remedy: "see that the program runs by hand, and that the limit on processes is not reached",
      },
      { cause },
    );
  } finally {
    await log.close();
  }
}

/** The plan's "redis-server" and Twine bins as programs of this machine. */
function commandOf(context: LocalContext, service: PlannedService): string[] {
  const [program = "", ...args] = service.command;
  if (program !== "redis-server")
    return [process.execPath, context.home.twineBin(program), ...args];
  if (context.redis === undefined) throw redisMissing();
  return [context.redis.path, ...args];
}

/** The services run in folders of their own, so a relative path would mean another file there. */
function serviceEnv(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const absolute = ["TWINE_PASSWORD_FILE", "TWINE_SMTP_PASSWORD_FILE"].flatMap((name) => {
    const file = env[name] ?? "";
    return file === "" ? [] : [[name, resolve(file)] as const];
  });
  return { ...env, ...Object.fromEntries(absolute) };
}

type Outcome = "up" | "ended" | "slow" | "interrupted";

async function waitUntilUp(
  context: LocalContext,
  service: PlannedService,
  child: ChildProcess,
  signal: AbortSignal,
): Promise<Outcome> {
  const endMs = performance.now() + UP_WITHIN_MS;
  const credentials = healthCredentials(context);
  for (;;) {
    if (hasEnded(child)) return "ended";
    if (signal.aborted) return "interrupted";
    const presence = await askPresence(service.health, askAddress(service), credentials);
    // Somebody else may have answered in its place, while ours found the port taken and ended.
    if (hasEnded(child)) return "ended";
    if (presence === "up") return "up";
    // A large file takes its time, and the others must not wait for it for ever.
    if (performance.now() > endMs) return presence === "loading" ? "up" : "slow";
    await delay(ASK_EVERY_MS);
  }
}

export function interrupted(remedy: string): TwineError {
  return new TwineError(
    { code: "INTERRUPTED", message: "interrupted", remedy },
    { exitCode: EXIT.interrupted },
  );
}

export function isInterruption(error: unknown): boolean {
  return error instanceof TwineError && error.code === "INTERRUPTED";
}

function startFailed(
  target: Target,
  outcome: "ended" | "slow",
  child: ChildProcess,
  words: string,
): TwineError {
  const { service, paths } = target;
  const how =
    outcome === "slow"
      ? `did not answer on port ${service.health.port} within ${UP_WITHIN_MS / 1000} s`
      : `ended before it was up, with ${child.signalCode ?? `exit code ${child.exitCode ?? "unknown"}`}`;
  return new TwineError({
    code: outcome === "slow" ? "START_SLOW" : "START_FAILED",
    message: `node ${service.name} ${how}; ${paths.logFile} says:\n${words || "    (nothing)"}`,
    remedy: remedyFor(words, service),
  });
}

/** Redis's own words for what users meet most. */
function remedyFor(words: string, service: PlannedService): string {
  if (/FATAL CONFIG|Bad directive|wrong number of arguments/i.test(words)) {
    return "mend that line: it comes from a `redis` line of twine.conf or from an edit of redis.conf";
  }
  if (/No space left|ENOSPC|Disk quota/i.test(words)) return "free some space on that disk";
  if (/Address already in use|EADDRINUSE/i.test(words)) {
    return "end the process that has the port, or give the node another one in twine.conf";
  }
  if (/Bad file format reading the append only file|Wrong signature|RDB|short read/i.test(words)) {
    return `its data can't be read: move ${service.folder}/data away and another node's data is copied to it, or mend it with redis-check-aof or redis-check-rdb`;
  }
  return "see the whole log, mend the cause, and start again";
}
