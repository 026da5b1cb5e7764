// end-process.ts: ends one process that we started. Sends SIGTERM, waits, and never kills a node that may hold data which
// is not on the disk yet.
//
//   SIGTERM -> 2 s -> SIGCONT (it may have been paused) -> grace
//     monitor, router: SIGKILL
//     redis-server that is saving: longer wait -> refused
//     redis-server that does not begin to end (a script, a hung disk): refused, with the reason and the remedy
import { setTimeout as delay } from "node:timers/promises";
import { lastLines, logSince, logSize } from "../files/log-tail.ts";
import { isAlive, removePidFile, type RunningProcess } from "../files/pid-file.ts";
import { isPaused, ownerOf, signalProcess } from "./processes.ts";
import type { Progress } from "../progress.ts";
import type { ServicePaths } from "../files/layout.ts";
import { silenceRemedy, silenceText, type Silence } from "./silence.ts";

const LOOK_EVERY_MS = 15;
const PAUSED_AFTER_MS = 2000;
/** A large RDB on a slow disk takes minutes; longer than this, success is unlikely. */
const PATIENCE_OF_GRACE = 15;

export interface Ending {
  readonly service: {
    readonly name: string;
    readonly graceMs: number;
    readonly dataFolder?: string;
  };
  readonly paths: ServicePaths;
  readonly running: RunningProcess;
  /** Why the process does not end; undefined: it answers normally. */
  readonly silence: () => Promise<Silence | undefined>;
}

export type EndOutcome =
  | { readonly kind: "ended" }
  | { readonly kind: "killed" }
  /** `mayStop` was false: it got no signal. */
  | { readonly kind: "not-now" }
  /** It still runs. */
  | { readonly kind: "refused"; readonly why: string; readonly remedy: string };

/** `mayStop` is asked in the same event-loop tick as the signal. */
export async function endProcess(
  ending: Ending,
  progress: Progress,
  mayStop: () => boolean = () => true,
): Promise<EndOutcome> {
  const { service, paths, running } = ending;
  const logFrom = await logSize(paths.logFile);
  const isRunning = await isAlive(running);
  if (!mayStop()) return { kind: "not-now" };
  if (isRunning && signalProcess(running.pid, "SIGTERM") === "forbidden") return forbidden(ending);
  let waited = await waitUntilGone(ending, logFrom, Math.min(PAUSED_AFTER_MS, service.graceMs));
  if (waited === "too long") {
    if (await isPaused(running.pid)) signalProcess(running.pid, "SIGCONT");
    waited = await waitUntilGone(ending, logFrom, service.graceMs);
  }
  let wasKilled = false;
  if (waited === "too long" && service.dataFolder === undefined) {
    if (await isAlive(running)) signalProcess(running.pid, "SIGKILL");
    wasKilled = true;
    waited = await waitUntilGone(ending, logFrom, service.graceMs);
  } else if (waited === "too long" && (await hasBegunToEnd(paths.logFile, logFrom))) {
    progress.note(
      `${service.name}: still saves its data after ${service.graceMs / 1000} s. Waiting, because a kill could lose data`,
    );
    waited = await waitUntilGone(ending, logFrom, service.graceMs * PATIENCE_OF_GRACE);
  }
  if (waited !== "gone") return refusalOf(ending, logFrom, waited);
  await removePidFile(paths.pidFile);
  return { kind: wasKilled ? "killed" : "ended" };
}

type Waited = "gone" | "refuses" | "too long";

async function waitUntilGone(ending: Ending, logFrom: number, withinMs: number): Promise<Waited> {
  const endMs = performance.now() + withinMs;
  for (let round = 1; ; round++) {
    if (!(await isAlive(ending.running))) return "gone";
    // Redis logs it when it can't save, and keeps running: waiting has no use.
    if (round % 20 === 0 && (await logsRefusal(ending.paths.logFile, logFrom))) return "refuses";
    if (performance.now() > endMs) return "too long";
    await delay(LOOK_EVERY_MS);
  }
}

async function logsRefusal(logFile: string, logFrom: number): Promise<boolean> {
  return /can't exit|Errors trying to shut down/i.test(await logSince(logFile, logFrom));
}

/** Redis logs this once it carries out a shutdown; "Received SIGTERM" is logged even by a node that is stuck. */
async function hasBegunToEnd(logFile: string, logFrom: number): Promise<boolean> {
  return /User requested shutdown/i.test(await logSince(logFile, logFrom));
}

async function forbidden({ service, running }: Ending): Promise<EndOutcome> {
  const owner = await ownerOf(running.pid);
  const user = owner === undefined ? "another user" : `user ${owner}`;
  return {
    kind: "refused",
    why: `process ${running.pid} of node ${service.name} belongs to ${user}, and this user may not stop it`,
    remedy: `run twine-stop as ${owner === undefined ? "its owner" : user}, or as root`,
  };
}

async function refusalOf(ending: Ending, logFrom: number, waited: Waited): Promise<EndOutcome> {
  const { service, paths, running } = ending;
  const words = lastLines(await logSince(paths.logFile, logFrom), 4);
  const log = `${paths.logFile} says:\n${words || "    (nothing)"}`;
  const node = `node ${service.name} (process ${running.pid})`;
  const again = "then run twine-stop again";
  if (waited === "refuses") {
    const remedy = `it goes on running so that no data is lost. Correct what its log names (often a full disk), ${again}`;
    return { kind: "refused", why: `${node} refuses to end; ${log}`, remedy };
  }
  const silence = (await hasBegunToEnd(paths.logFile, logFrom))
    ? undefined
    : await ending.silence();
  if (silence === undefined) {
    const remedy = `it goes on running so that no data is lost. See its log and the disk, ${again}`;
    return { kind: "refused", why: `${node} did not end in time; ${log}`, remedy };
  }
  return {
    kind: "refused",
    why: `node ${service.name} did not end: it ${silenceText(silence)}; ${log}`,
    remedy: `${silenceRemedy(silence, service.name)}; ${again}`,
  };
}
