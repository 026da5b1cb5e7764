// end-process.ts: ends one process that we started: asks politely, waits, and never kills a node that may hold
// data which is not on the disk yet.
//
//   SIGTERM -> grace -> redis-server: SIGCONT (it may have been paused), a note, and more patience -> refused
//                       monitor, router: SIGKILL
import { setTimeout as delay } from "node:timers/promises";
import { lastLines, logSince, logSize } from "./log-tail.ts";
import { isAlive, removePidFile, type RunningProcess } from "./pid-file.ts";
import { signalProcess } from "./processes.ts";
import type { Progress } from "./progress.ts";
import type { ServicePaths } from "./layout.ts";

const LOOK_EVERY_MS = 15;
/** A large RDB on a slow disk takes minutes; past this nothing good is to be expected. */
const PATIENCE_OF_GRACE = 15;

export interface Ending {
  readonly service: {
    readonly name: string;
    readonly graceMs: number;
    readonly dataFolder?: string;
  };
  readonly paths: ServicePaths;
  readonly running: RunningProcess;
}

export type EndOutcome =
  | { readonly kind: "ended" }
  | { readonly kind: "killed" }
  /** It still runs. */
  | { readonly kind: "refused"; readonly why: string };

export async function endProcess(ending: Ending, progress: Progress): Promise<EndOutcome> {
  const { service, paths, running } = ending;
  const logFrom = await logSize(paths.logFile);
  if (await isAlive(running)) signalProcess(running.pid, "SIGTERM");
  let waited = await waitUntilGone(ending, logFrom, service.graceMs);
  let wasKilled = false;
  if (waited === "too long" && service.dataFolder === undefined) {
    if (await isAlive(running)) signalProcess(running.pid, "SIGKILL");
    wasKilled = true;
    waited = await waitUntilGone(ending, logFrom, service.graceMs);
  } else if (waited === "too long") {
    progress.note(
      `${service.name}: still saving after ${service.graceMs / 1000} s; waiting on, because killing it could lose data`,
    );
    if (await isAlive(running)) signalProcess(running.pid, "SIGCONT");
    waited = await waitUntilGone(ending, logFrom, service.graceMs * PATIENCE_OF_GRACE);
  }
  if (waited !== "gone") return { kind: "refused", why: await refusalOf(ending, logFrom, waited) };
  await removePidFile(paths.pidFile);
  return { kind: wasKilled ? "killed" : "ended" };
}

type Waited = "gone" | "refuses" | "too long";

async function waitUntilGone(ending: Ending, logFrom: number, withinMs: number): Promise<Waited> {
  const endMs = performance.now() + withinMs;
  for (let round = 1; ; round++) {
    if (!(await isAlive(ending.running))) return "gone";
    // Redis says so when it can't save, and goes on running: no use in waiting.
    if (round % 20 === 0 && (await saysNo(ending.paths.logFile, logFrom))) return "refuses";
    if (performance.now() > endMs) return "too long";
    await delay(LOOK_EVERY_MS);
  }
}

async function saysNo(logFile: string, logFrom: number): Promise<boolean> {
  return /can't exit|Errors trying to shut down/i.test(await logSince(logFile, logFrom));
}

async function refusalOf(ending: Ending, logFrom: number, waited: Waited): Promise<string> {
  const { service, paths, running } = ending;
  const words = lastLines(await logSince(paths.logFile, logFrom), 4);
  const how = waited === "refuses" ? "refuses to end" : "did not end in time";
  return `node ${service.name} (process ${running.pid}) ${how}; ${paths.logFile} says:\n${words || "    (nothing)"}`;
}
