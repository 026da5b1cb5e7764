// running-shape.ts: records by which twine.conf a process was started or has last read.
//
//   running.json    written by the tools when they start a process or have it read twine.conf again
//   started.conf    the twine.conf with which systemd started the process: after-start.sh copies it
//
// Of a process that was started otherwise (by hand) nothing is known.
import { join } from "node:path";
import type { Problem } from "../../../runtime/core/errors.ts";
import { completeConfig } from "../../../runtime/core/conf/complete.ts";
import { confDigest } from "../../../runtime/core/conf/digest.ts";
import { parseConf } from "../../../runtime/core/conf/parse.ts";
import { planService } from "../../plan/plan-service.ts";
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
  /** A router that lets another process of it listen on its port (take-over.ts). */
  readonly isPortShared?: boolean;
}

const MODE = 0o644;
const CONF_BYTES_MAX = 1024 * 1024;

function recordFile({ paths }: Target): string {
  return join(paths.folder, "running.json");
}

/** Of the running process; undefined when there is no record. */
export async function runningShape(target: Target): Promise<RunningShape | undefined> {
  const text = await readIfThere(recordFile(target)).catch(() => undefined);
  const record = text === undefined ? undefined : parsed(text);
  if (target.running === undefined) return undefined;
  if (record?.startTime === target.running.startTime) return record;
  return startedWith(target, target.running.startTime);
}

async function startedWith(
  { service, paths }: Target,
  startTime: string,
): Promise<RunningShape | undefined> {
  const file = join(paths.folder, "started.conf");
  const text = (await readIfThere(file).catch(() => undefined)) ?? "";
  if (text.length > CONF_BYTES_MAX || !text.startsWith(`# ${startTime}\n`)) return undefined;
  const { config } = parseConf(text, file);
  if (config === undefined) return undefined;
  // It was valid when the process started.
  const completed = completeConfig(config).config;
  const node = completed.nodes.find(({ name }) => name === service.name);
  if (node === undefined) return undefined;
  const confPath = service.command[service.command.indexOf("--conf") + 1] ?? "";
  const options = { confPath, hasPassword: true };
  const was = planService(node, service.bind, completed.settings, options);
  return { startTime, shape: processShape(completed, was), confDigest: confDigest(completed) };
}

/** Call it after a start. On a full disk only the record is missing. */
export async function rememberShape(
  { config, plan }: Pick<LocalContext, "config" | "plan">,
  target: Target,
  { startTime }: RunningProcess,
): Promise<void> {
  const shape = processShape(config, target.service);
  const isPortShared = process.platform === "linux" && target.service.command[0] === "twine-router";
  await write(target, { startTime, shape, confDigest: plan.confDigest, isPortShared });
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
