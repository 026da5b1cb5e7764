// launch.ts: starts one service as a process that outlives this one, and waits until it answers.
//
//   spawn (own session, output to its log) -> pid file -> asks until it answers | ended | too long | interrupted
//
// Redis answers "LOADING" while it reads its data, and exits if it finds at the end that it can't read them. So LOADING
// does not count as started, unless it takes very long.
import { spawn, type ChildProcess } from "node:child_process";
import { chmod, open } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { EXIT, TwineError, assert } from "../../../runtime/core/errors.ts";
import type { PlannedService } from "../../plan/plan.ts";
import { askPresence } from "../ask.ts";
import type { LocalContext } from "../context.ts";
import { loadingOf, switchAofOn, type Loading } from "./data-form.ts";
import { endChild, hasEnded } from "./end-child.ts";
import { fileError, makeFolder } from "../files/files.ts";
import { lastLines, logSince, logSize } from "../files/log-tail.ts";
import {
  removePidFile,
  runningProcess,
  writePidFile,
  type RunningProcess,
} from "../files/pid-file.ts";
import { systemctl, unitOfNode } from "../supervisor/systemd.ts";
import { redisMissing } from "../install/redis-program.ts";
import { askAddress, healthCredentials, type Target } from "../targets.ts";
import { errorText } from "../../../runtime/core/error-text.ts";

const UP_WITHIN_MS = 60_000;
const ASK_EVERY_MS = 15;
const UNKNOWN_GRACE_MS = 3000;
export const STOPPED_AGAIN =
  "run it again when you like; everything that this command had started was stopped again";

/**
 * Starts `target` and returns when it answers. `onStarted` is called with the process as soon as it exists, so that the
 * caller can always end it. Throws START_FAILED with the process's last log lines, START_SLOW, or INTERRUPTED.
 */
export async function launch(
  context: LocalContext,
  target: Target,
  signal: AbortSignal,
  onStarted: (started: RunningProcess) => void,
): Promise<void> {
  if (signal.aborted) throw interrupted(STOPPED_AGAIN);
  const { service, paths } = target;
  await makeFolder(paths.folder);
  const logFrom = await logSize(paths.logFile);
  const loading = await loadingOf(target);
  const unit = await unitOfNode(context, service.name);
  // Data that systemd's redis-server would not load is loaded here once; the unit does all later starts.
  if (unit !== undefined && loading === "as configured") {
    await systemctl("start", unit);
    const started = await runningProcess(paths.pidFile);
    if (started !== undefined) onStarted(started);
    return;
  }
  await keepPrivate(target);
  const child = await spawnDetached(context, target, loading);
  try {
    assert(child.pid !== undefined, "a spawned process has a pid");
    const started = await rememberPid(paths.pidFile, child.pid, child);
    if (started !== undefined) onStarted(started);
    const outcome = await waitUntilUp(context, service, child, signal);
    if (outcome === "up") {
      if (loading === "rdb first") await switchAofOn(context, target, signal);
      return;
    }
    if (outcome === "interrupted") throw interrupted(STOPPED_AGAIN);
    const words = lastLines(await logSince(paths.logFile, logFrom), 6);
    if (outcome === "ended") await removePidFile(paths.pidFile);
    throw startFailed(target, outcome, child, words);
  } finally {
    child.unref();
  }
}

/** A process whose pid can't be recorded (full disk) could never be stopped again, so it is ended at once. */
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

/** Only the node's user may read its data: a user who can read the files has every key. */
async function keepPrivate({ service, paths }: Target): Promise<void> {
  if (service.dataFolder === undefined) return;
  const data = join(paths.folder, service.dataFolder);
  await makeFolder(data);
  // It may be a link, or belong to another user on purpose; then its owner decides.
  await chmod(data, 0o700).catch(() => undefined);
}

async function spawnDetached(
  context: LocalContext,
  target: Target,
  loading: Loading,
): Promise<ChildProcess> {
  const { service, paths } = target;
  const [program = "", ...args] = [...context.launcher, ...commandOf(context, service)];
  const extras = context.launchExtras(service);
  args.push(...(extras.args ?? []));
  if (loading === "rdb first") args.push("--appendonly", "no");
  const log = await open(paths.logFile, "a", 0o600).catch((error: unknown) => {
    throw fileError("write", paths.logFile, error);
  });
  try {
    const child = withUmask(0o077, () =>
      spawn(program, args, {
        cwd: paths.folder,
        detached: true,
        stdio: ["ignore", log.fd, log.fd],
        env: { ...serviceEnv(process.env), ...extras.env },
      }),
    );
    await new Promise<void>((done, failed) => {
      child.once("spawn", done);
      child.once("error", failed);
    });
    return child;
  } catch (cause) {
    const why = errorText(cause);
    throw new TwineError(
      {
        code: "START_FAILED",
        message: `node ${service.name}: can't run ${program}: ${why}`,
        remedy:
          "check that the program runs by hand, and that the limits on processes and open files (ulimit -u, ulimit -n) are not reached",
      },
      { cause },
    );
  } finally {
    await log.close();
  }
}

/** A child inherits its parent's umask; the child is spawned when `work` returns. */
function withUmask<T>(mask: number, work: () => T): T {
  const before = process.umask(mask);
  try {
    return work();
  } finally {
    process.umask(before);
  }
}

/** Resolves the plan's "redis-server" and Twine bins to programs of this machine. */
function commandOf(context: LocalContext, service: PlannedService): string[] {
  const [program = "", ...args] = service.command;
  if (program !== "redis-server")
    return [process.execPath, context.home.twineBin(program), ...args];
  if (context.redis === undefined) throw redisMissing();
  return [context.redis.path, ...args];
}

const RELATIVE_FILES = [
  "TWINE_PASSWORD_FILE",
  "TWINE_SMTP_PASSWORD_FILE",
  "AWS_CONFIG_FILE",
  "AWS_SHARED_CREDENTIALS_FILE",
] as const;

/** Each service runs in its own folder, so a relative path would name another file there. */
function serviceEnv(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const absolute = RELATIVE_FILES.flatMap((name) => {
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
    // Another process may have answered, while ours found the port taken and exited.
    if (hasEnded(child)) return "ended";
    if (presence === "up" || presence === "busy") return "up";
    // Loading a large file takes long, and the others must not wait for it forever.
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

/** Explains the Redis errors that users meet most often. */
function remedyFor(words: string, service: PlannedService): string {
  if (/FATAL CONFIG|Bad directive|wrong number of arguments/i.test(words)) {
    return "correct that line: it comes from a `redis` line of twine.conf or from an edit of redis.conf";
  }
  if (/No space left|ENOSPC|Disk quota/i.test(words)) return "free some space on that disk";
  if (/Read-only file system|EROFS/i.test(words)) {
    return "mount that disk writable again; the system's log says why it is read-only";
  }
  if (/Address already in use|EADDRINUSE/i.test(words)) {
    return "end the process that has the port, or give the node another one in twine.conf";
  }
  if (/Bad file format reading the append only file|Wrong signature|RDB|short read/i.test(words)) {
    return `its data can't be read: move ${service.folder}/data away and another node's data is copied to it, or repair it with redis-check-aof or redis-check-rdb`;
  }
  return "read the whole log, remove the cause, and start again";
}
