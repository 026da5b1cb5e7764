#!/usr/bin/env node
// twine-up: from a twine.conf to a cluster that is OK, in one command; `npm start` is this.
//   install Redis when missing -> set up -> start -> wait until OK -> say so, with three commands to try
import { setTimeout as delay } from "node:timers/promises";
import { twineHome } from "../../runtime/cli/package-root.ts";
import {
  loadConf,
  printWarnings,
  readPassword,
  runTool,
  tool,
  type ToolOptions,
} from "../../runtime/cli/tool.ts";
import { majorityOf, type ClusterConfig } from "../../runtime/core/cluster.ts";
import { EXIT, TwineError } from "../../runtime/core/errors.ts";
import { requireSameHashing } from "../../runtime/core/hashing.ts";
import { requireSameCluster } from "../../runtime/core/same-cluster.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { lookTwice } from "../../runtime/register/look-twice.ts";
import type { RegisterReading } from "../../runtime/register/register.ts";
import { STATE_EXIT } from "../../runtime/status/formats.ts";
import { renderJson } from "../../runtime/status/json.ts";
import { knowledgeOf } from "../../runtime/status/knowledge.ts";
import { reportOf, type StatusReport } from "../../runtime/status/report.ts";
import { renderSummary } from "../../runtime/status/summary.ts";
import { isLoginRefusal } from "../local/ask.ts";
import { checkRunning, setup, start, takeBackStarted } from "../local/commands.ts";
import { ensureRedis } from "../local/install.ts";
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
      "Brings the cluster of twine.conf up on this machine: finds or installs Redis, sets up, starts, waits for OK. Run again, it changes nothing.",
    examples: ["$ twine-up", "$ twine-up --wait 120", "$ twine-up --json | jq -r .state"],
    exitCodes: {
      0: "OK",
      1: "it failed; with --keep-going: some nodes did not start, the others run",
      10: "started, and DEGRADED when the wait was over",
      20: "started, and in HALT when the wait was over",
      130: "interrupted; what this call had started is stopped again",
    },
  })
    .option("--wait <seconds>", "how long to wait for OK once everything is started", "60")
    .option("--keep-going", "leave running what started, though other nodes fail");
  program.parse();
  const options = program.opts<UpOptions>();
  const waitMs = waitMsOf(options.wait);
  const { config, warnings } = loadConf(options);
  const isJson = options.json === true;
  const signal = interruption();
  const progress = toolProgress(isJson);
  await ensureRedis((line) => {
    progress.note(line);
  });
  const request = {
    config,
    dir: options.dir,
    password: readPassword(),
    home: twineHome(),
    progress,
    signal,
    keepGoing: options.keepGoing,
  };
  await checkRunning(request);
  const placed = await setup(request);
  if (!isJson) printWarnings([...warnings, ...placed.warnings]);
  const { started, failed, problems } = await start(request);
  printProblems(problems);
  const isComplete = failed.length === 0;
  const report = await untilDone(config, { waitMs, progress, signal, isComplete });
  if (report === "interrupted") return await takeBackStarted(request, started);
  process.stdout.write(isJson ? renderJson(report) : summary(report));
  return isComplete ? STATE_EXIT[report.state] : EXIT.failure;
}

/** Throws WAIT_BAD for anything but a number of seconds. */
function waitMsOf(text: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  throw new TwineError(
    {
      code: "WAIT_BAD",
      message: `--wait ${text}: that is no number of seconds`,
      remedy: "for example --wait 60",
    },
    { exitCode: EXIT.usage },
  );
}

interface Waiting {
  readonly waitMs: number;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** Whether every node was started. Else OK can't come, and DEGRADED is all there is to wait for. */
  readonly isComplete: boolean;
}

/** The first report that says OK, or the last one before the wait was over. Throws HASHING_DIFFERS and
    CLUSTER_DIFFERS. */
async function untilDone(
  config: ClusterConfig,
  waiting: Waiting,
): Promise<StatusReport | "interrupted"> {
  const { waitMs, progress, signal, isComplete } = waiting;
  const ports = { clock: systemClock, openLink: openRedisLink };
  const password = readPassword();
  const endMs = systemClock.nowMs() + waitMs;
  const stage = progress.stage("waiting for OK", 1);
  for (;;) {
    const readings = await lookTwice({ config, password, ...ports }, (first) => {
      refuseOtherPassword(first, password);
    });
    const knowledge = knowledgeOf(readings);
    requireSameCluster(knowledge.view, config);
    const report = reportOf(config, knowledge);
    if (signal.aborted) {
      await stage.end();
      return "interrupted";
    }
    // A cluster that is OK is no use by a twine.conf that seeks its keys elsewhere.
    requireSameHashing(report.view, config);
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

/** Those of this machine were asked before they were set up; those of other hosts may still have the old password. */
function refuseOtherPassword(
  { answered, silent }: RegisterReading,
  password: string | undefined,
): void {
  const refusing = [...silent].filter(([, why]) => isLoginRefusal(why)).map(([name]) => name);
  if (refusing.length < majorityOf(answered.length + silent.size)) return;
  const has = password === undefined ? "a password" : "another one, or none";
  throw passwordDiffers(refusing, password !== undefined, has);
}

function summary(report: StatusReport): string {
  const color = process.stdout.isTTY && (process.env["NO_COLOR"] ?? "") === "";
  const text = renderSummary(report, { color, width: process.stdout.columns || 80 });
  if (report.state !== "OK") return `\n${text}`;
  return `\n${text}\nTry:\n${TRY.map((line) => `  ${line}`).join("\n")}\n`;
}

await runTool(main);
