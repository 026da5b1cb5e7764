// cluster-state.ts: the state that the monitors of an environment report.
import { setTimeout as delay } from "node:timers/promises";

const ASK_EVERY_MS = 50;
const ANSWER_WITHIN_MS = 5000;

interface MonitorStatus {
  readonly state?: unknown;
  readonly partitions?: unknown;
  readonly problems?: unknown;
}

const PROBLEMS_SHOWN = 3;
const PROBLEM_CHARS_MAX = 200;

/** By monitor: OK, DEGRADED, HALT, each with its first problems; "no answer", or "unknown" for any other reply. */
export function statesOf(monitorUrls: readonly string[]): Promise<string[]> {
  return Promise.all(
    monitorUrls.map(async (url) => {
      const status = await statusAt(url);
      if (status === undefined) return "no answer";
      if (typeof status.state !== "string") return "unknown";
      if (status.state === "OK") return "OK";
      const problems = problemsIn(status.problems).slice(0, PROBLEMS_SHOWN);
      return problems.length === 0 ? status.state : `${status.state} (${problems.join("; ")})`;
    }),
  );
}

/** "a2 data node of partition 0 ... is dead"; without the notes. */
function problemsIn(problems: unknown): string[] {
  if (!Array.isArray(problems)) return [];
  return (problems as unknown[]).flatMap((problem) => {
    if (typeof problem !== "object" || problem === null) return [];
    const { severity, subject, text } = problem as Readonly<Record<string, unknown>>;
    if (severity === "NOTE" || typeof subject !== "string" || typeof text !== "string") return [];
    return [`${subject} ${text}`.slice(0, PROBLEM_CHARS_MAX)];
  });
}

/**
 * Whether every monitor reported OK within `withinMs`: the alpha may know it before the others. `states`: the last reported
 * ones. Returns at once when `signal` aborts.
 */
export async function untilAllOk(
  monitorUrls: readonly string[],
  withinMs: number,
  signal: AbortSignal,
): Promise<{ readonly isOk: boolean; readonly states: readonly string[] }> {
  const endMs = performance.now() + withinMs;
  for (;;) {
    const states = await statesOf(monitorUrls);
    if (states.every((state) => state === "OK")) return { isOk: true, states };
    if (signal.aborted || performance.now() > endMs) return { isOk: false, states };
    await delay(ASK_EVERY_MS);
  }
}

/** The partition's master, from the first monitor that answers. */
export async function masterOf(
  monitorUrls: readonly string[],
  partition: number,
): Promise<string | undefined> {
  for (const url of monitorUrls) {
    const { partitions } = (await statusAt(url)) ?? {};
    if (!Array.isArray(partitions)) continue;
    const found = (partitions as unknown[])[partition];
    if (typeof found !== "object" || found === null || !("master" in found)) continue;
    return typeof found.master === "string" ? found.master : undefined;
  }
  return undefined;
}

async function statusAt(url: string): Promise<MonitorStatus | undefined> {
  try {
    const response = await fetch(`${url}/status.json`, {
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    const status: unknown = await response.json();
    return typeof status === "object" && status !== null ? status : {};
  } catch {
    return undefined;
  }
}
