// running-shape.ts: records by which twine.conf a process was started or has last read, in running.json of its folder.
// A process that was started otherwise (systemd, by hand) has no record; then nothing is known about it.
import { join } from "node:path";
import type { Problem } from "../../../runtime/core/errors.ts";
import { processShape } from "../../plan/rolling/process-shape.ts";
import type { LocalContext } from "../context.ts";
import { readIfThere, writeWhole } from "../files/files.ts";
import { namesOf } from "../files/names.ts";
import type { RunningProcess } from "../files/pid-file.ts";
import type { Target } from "../targets.ts";

export interface RunningShape {
  /** Start time of the process: another process's record does not count. */
  readonly startTime: string;
  /** See process-shape.ts. */
  readonly shape: string;
  /** Digest of the twine.conf that it was started with, or has read at the last SIGHUP of a tool. */
  readonly confDigest: string;
}

const MODE = 0o644;

function recordFile({ paths }: Target): string {
  return join(paths.folder, "running.json");
}

/** Of the running process; undefined when there is no record. */
export async function runningShape(target: Target): Promise<RunningShape | undefined> {
  const text = await readIfThere(recordFile(target)).catch(() => undefined);
  const record = text === undefined ? undefined : parsed(text);
  return record?.startTime === target.running?.startTime ? record : undefined;
}

/** Call it after a start. On a full disk only the record is missing. */
export async function rememberShape(
  { config, plan }: Pick<LocalContext, "config" | "plan">,
  target: Target,
  { startTime }: RunningProcess,
): Promise<void> {
  const shape = processShape(config, target.service);
  await write(target, { startTime, shape, confDigest: plan.confDigest });
}

/** Call it after a SIGHUP: keeps the shape of the start; an unknown shape stays unknown. */
export async function rememberReload(
  { plan }: Pick<LocalContext, "plan">,
  target: Target,
): Promise<void> {
  const known = await runningShape(target);
  if (known !== undefined) await write(target, { ...known, confDigest: plan.confDigest });
}

async function write(target: Target, record: RunningShape): Promise<void> {
  const text = `${JSON.stringify(record)}\n`;
  await writeWhole(recordFile(target), text, MODE, true).catch(() => undefined);
}

function parsed(text: string): RunningShape | undefined {
  try {
    const value = JSON.parse(text) as Partial<Record<keyof RunningShape, unknown>>;
    const { startTime, shape, confDigest } = value;
    const isWhole = [startTime, shape, confDigest].every((field) => typeof field === "string");
    return isWhole ? (value as RunningShape) : undefined;
  } catch {
    return undefined;
  }
}

/** CONF_OLD when running monitors or routers have not read this twine.conf. Processes without a record are not reported. */
export async function oldConfProblems(
  { plan }: Pick<LocalContext, "plan">,
  running: readonly Target[],
): Promise<Problem[]> {
  const old: string[] = [];
  for (const target of running) {
    const { kind, name } = target.service;
    if (target.running === undefined || kind === "data" || kind === "status") continue;
    const known = await runningShape(target);
    if (known !== undefined && known.confDigest !== plan.confDigest) old.push(name);
  }
  if (old.length === 0) return [];
  return [
    {
      code: "CONF_OLD",
      message: `${namesOf(old)} ${old.length === 1 ? "runs" : "run"} by another twine.conf, read before it was changed`,
      remedy:
        "run twine-apply: it brings everything on this machine to what twine.conf says, without an outage",
    },
  ];
}
