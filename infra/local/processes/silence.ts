// silence.ts: finds why a running process does not answer or end, and the remedy.
//
//   paused        stopped by a signal; continues at SIGCONT
//   busy          a node that runs a script longer than its busy-reply-threshold: it answers BUSY
//   loading       a node that still reads its data
//   silent        no answer within 2 s: a long command, a disk that hangs, a machine that is overloaded
import type { Problem } from "../../../runtime/core/errors.ts";
import type { PlannedService } from "../../plan/plan.ts";
import { askNode, askPresence } from "../ask.ts";
import { eachBounded, failuresOf } from "../bounded.ts";
import type { LocalContext } from "../context.ts";
import { isAlive } from "../files/pid-file.ts";
import { askAddress, healthCredentials, type Target } from "../targets.ts";
import { isPaused } from "./processes.ts";

const AT_ONCE = 64;

export type Silence =
  | { readonly kind: "paused" | "silent"; readonly pid: number }
  | { readonly kind: "busy" | "loading"; readonly pid: number; readonly port: number };

/** undefined: the service answers. */
export async function silenceOf(
  context: LocalContext,
  service: PlannedService,
  pid: number,
): Promise<Silence | undefined> {
  if (await isPaused(pid)) return { kind: "paused", pid };
  const credentials = healthCredentials(context);
  const { health } = service;
  const presence = await askPresence(health, askAddress(service), credentials);
  if (presence === "up") return undefined;
  if (presence !== "absent") return { kind: presence, pid, port: health.port };
  return { kind: "silent", pid };
}

/** The same for a node that twine.conf no longer has. */
export async function silenceOfNode(address: string, port: number, pid: number): Promise<Silence> {
  if (await isPaused(pid)) return { kind: "paused", pid };
  const { kind } = await askNode(address, port, undefined);
  return kind === "busy" || kind === "loading" ? { kind, pid, port } : { kind: "silent", pid };
}

/** Of services that should already run: NODE_PAUSED, NODE_BUSY or NODE_SILENT for each that does not answer. A silent one
    is asked twice: on a loaded machine one reply may take too long. */
export async function silenceProblems(
  context: LocalContext,
  targets: readonly Target[],
): Promise<ReadonlyMap<string, Problem>> {
  const found = new Map<string, Problem>();
  const outcomes = await eachBounded(targets, AT_ONCE, async ({ service, running }) => {
    if (running === undefined) return;
    let silence = await silenceOf(context, service, running.pid);
    if (silence?.kind === "silent") silence = await silenceOf(context, service, running.pid);
    // It may have ended meanwhile, and a loading node will answer soon.
    if (silence === undefined || silence.kind === "loading" || !(await isAlive(running))) return;
    const { name } = service;
    found.set(name, {
      code: `NODE_${silence.kind.toUpperCase()}`,
      message: `node ${name} ${silenceText(silence)}`,
      remedy: silenceRemedy(silence, name),
    });
  });
  const [failure] = failuresOf(outcomes);
  if (failure !== undefined) throw failure;
  return found;
}

/** "is paused", "runs a long script": to follow the node's name. */
export function silenceText(silence: Silence): string {
  switch (silence.kind) {
    case "paused":
      return `is paused (process ${silence.pid} was stopped by a signal)`;
    case "busy":
      return `runs a script for longer than busy-reply-threshold and answers BUSY (process ${silence.pid})`;
    case "loading":
      return `still loads its data (process ${silence.pid})`;
    case "silent":
      return `runs (process ${silence.pid}) but did not answer within 2 s`;
    default:
      return silence satisfies never;
  }
}

/** What the operator can do. `name`: the node. */
export function silenceRemedy(silence: Silence, name: string): string {
  switch (silence.kind) {
    case "paused":
      return `kill -CONT ${silence.pid} lets it go on`;
    case "busy":
      return `redis-cli -p ${silence.port} SCRIPT KILL ends the script (FUNCTION KILL ends a function)`;
    case "loading":
      return "wait until it has loaded its data";
    case "silent":
      return (
        `wait if it runs a long command or the machine is overloaded; ` +
        `if it stays silent: kill -9 ${silence.pid}, then twine-start ${name}`
      );
    default:
      return silence satisfies never;
  }
}
