#!/usr/bin/env node
// twine-up: from a twine.conf to a cluster that is OK, in one command; `npm start` runs it.
//   install Redis when missing -> set up -> start -> wait until OK -> print it, with three commands to try
import { sentinelReport } from "../../runtime/status/sentinel-report.ts";
import { observeStack } from "../../runtime/twemproxy/observe-stack.ts";
import { setTimeout as delay } from "node:timers/promises";
import {
  printWarnings,
  readPassword,
  runTool,
  startTool,
  tool,
  type ToolOptions,
} from "../../runtime/cli/tool.ts";
import { majorityOf, type ClusterConfig } from "../../runtime/core/cluster.ts";
import type { Secret } from "../../runtime/core/credentials.ts";
import { EXIT, TwineError } from "../../runtime/core/errors.ts";
import { requireSameHashing } from "../../runtime/core/hashing.ts";
import { requireSameCluster } from "../../runtime/core/same-cluster.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { loadHashing } from "../../runtime/ports/hash-source.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { lookTwice } from "../../runtime/register/look-twice.ts";
import type { RegisterReading } from "../../runtime/register/register.ts";
import { STATE_EXIT } from "../../runtime/status/formats.ts";
import { renderJson } from "../../runtime/status/json.ts";
import { knowledgeOf } from "../../runtime/status/knowledge.ts";
import { reportOf, type StatusReport } from "../../runtime/status/report.ts";
import { renderSummary } from "../../runtime/status/summary.ts";
import { checkRunning, setup, start, stopStarted } from "../local/commands.ts";
import { ensureExtras, ensureRedis } from "../local/install/install.ts";
import { interruption } from "../local/interruption.ts";
import { passwordDiffers } from "../local/password-check.ts";
import { printProblems, type Progress } from "../local/progress.ts";
import { toolProgress } from "../local/tool-progress.ts";

interface UpOptions extends ToolOptions {
  readonly wait: string;
  readonly keepGoing?: boolean;
}

const TRY = ["npx twine set foo bar", "npx twine get foo", "npx twine-status"];

async function main(): Promise<number> {
  const program = tool({
    name: "twine-up",
    summary:
      "Brings the cluster of twine.conf up on this machine: finds or installs Redis, sets up, starts, waits for OK. A second run changes nothing.",
    examples: ["$ twine-up", "$ twine-up --wait 120", "$ twine-up --json | jq -r .state"],
    exitCodes: {
      0: "OK",
      1: "it failed; with --keep-going: some nodes did not start, the others run",
      10: "started, and DEGRADED when the wait was over",
      20: "started, and in HALT when the wait was over",
      130: "interrupted; what this command had started is stopped again",
    },
  })
    .option("--wait <seconds>", "how long to wait for OK once everything is started", "60")
    .option("--keep-going", "leave running what started, though other nodes fail");
  const begun = startTool<UpOptions>(program);
  const { options, config, warnings, isJson } = begun;
  const waitMs = waitMsOf(options.wait);
  const signal = interruption();
  const progress = toolProgress(isJson);
  const say = (line: string): void => {
    progress.note(line);
  };
  await ensureRedis(say);
  if (config.settings.router === "twemproxy") await ensureExtras(["nutcracker"], say);
  const request = { ...begun.request, progress, signal, keepGoing: options.keepGoing };
  await checkRunning(request);
  const placed = await setup(request);
  if (!isJson) printWarnings([...warnings, ...placed.warnings]);
  const { started, failed, problems, warnings: runningWarnings } = await start(request);
  if (!isJson) printWarnings(runningWarnings.filter(({ code }) => code === "CONF_DIFFERS"));
  printProblems(problems);
  const isComplete = failed.length === 0;
  const report = await untilDone(config, { waitMs, progress, signal, isComplete });
  if (report === "interrupted") return await stopStarted(request, started);
  process.stdout.write(isJson ? renderJson(report) : summary(report));
  return isComplete ? STATE_EXIT[report.state] : EXIT.failure;
}

/** Throws WAIT_BAD unless it is a number of seconds. */
function waitMsOf(text: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  throw new TwineError(
    {
      code: "WAIT_BAD",
      message: `--wait ${text} is not a number of seconds`,
      remedy: "for example --wait 60",
    },
    { exitCode: EXIT.usage },
  );
}

interface Waiting {
  readonly waitMs: number;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** Whether every node was started. Otherwise OK is impossible, and the tool waits only for DEGRADED. */
  readonly isComplete: boolean;
}

/** The first report that is OK, or the last one before the time limit. Throws HASHING_DIFFERS and CLUSTER_DIFFERS. */
async function untilDone(
  config: ClusterConfig,
  waiting: Waiting,
): Promise<StatusReport | "interrupted"> {
  const { waitMs, progress, signal, isComplete } = waiting;
  const look = config.settings.failover === "sentinel" ? sentinelsLook : await twinesLook(config);
  const endMs = systemClock.nowMs() + waitMs;
  const stage = progress.stage("waiting for OK", 1);
  for (;;) {
    const report = await look(config);
    if (signal.aborted) {
      await stage.end();
      return "interrupted";
    }
    const isOver = systemClock.nowMs() >= endMs;
    const isDone = report.state === "OK" || (report.state === "DEGRADED" && !isComplete);
    if (isDone || isOver) {
      stage.item("cluster", report.state);
      await stage.end();
      return report;
    }
    await delay(50);
  }
}

type Look = (config: ClusterConfig) => Promise<StatusReport>;

/** Throws HASHING_DIFFERS and CLUSTER_DIFFERS. */
async function twinesLook(config: ClusterConfig): Promise<Look> {
  const ports = { clock: systemClock, openLink: openRedisLink };
  const password = readPassword();
  const hashing = await loadHashing(config);
  return async () => {
    const readings = await lookTwice({ config, password, ...ports }, (first) => {
      refuseOtherPassword(first, password);
    });
    const knowledge = knowledgeOf(readings);
    requireSameCluster(knowledge.view, config);
    const report = reportOf(config, knowledge, hashing);
    // Even a cluster that is OK is useless if this twine.conf would look for its keys on other nodes.
    requireSameHashing(report.view, config, hashing);
    return report;
  };
}

/** Under Sentinel there is no view, so every node is asked. */
async function sentinelsLook(config: ClusterConfig): Promise<StatusReport> {
  const ports = { config, password: readPassword(), clock: systemClock, openLink: openRedisLink };
  return sentinelReport(config, await observeStack(ports));
}

/** The nodes of this machine were asked before the setup; nodes of other hosts may still have the old password. */
function refuseOtherPassword(
  { answered, silent }: RegisterReading,
  password: Secret | undefined,
): void {
  const refusing = [...silent.values()]
    .filter(({ kind }) => kind === "login")
    .map(({ node }) => node);
  if (refusing.length < majorityOf(answered.length + silent.size)) return;
  const has = password === undefined ? "a password" : "another one, or none";
  throw passwordDiffers(refusing, password !== undefined, has);
}

/** twemproxy accepts the commands that redis-cli sends. */
function triesOf({ nodes }: StatusReport): string[] {
  const router = nodes.find(({ kind }) => kind === "router");
  const cli = `redis-cli -p ${router?.port ?? 6379}`;
  return [`${cli} set foo bar`, `${cli} get foo`, "npx twine-status"];
}

function summary(report: StatusReport): string {
  const color = process.stdout.isTTY && (process.env["NO_COLOR"] ?? "") === "";
  const text = renderSummary(report, { color, width: process.stdout.columns || 80 });
  if (report.state !== "OK") return `\n${text}`;
  const lines = report.isSentinels === true ? triesOf(report) : TRY;
  return `\n${text}\nTry:\n${lines.map((line) => `  ${line}`).join("\n")}\n`;
}

await runTool(main);
