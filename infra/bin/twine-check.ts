#!/usr/bin/env node
// twine-check: six test cases on a running cluster of this machine: masters are killed, and a thousand items must survive.
//   --load, --verify, --status    one step alone: load the items, count them, show which processes run
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import { once } from "node:events";
import { onInterruption } from "../../runtime/cli/interruption.ts";
import { runTool, startTool, tool, type ToolOptions } from "../../runtime/cli/tool.ts";
import { nodesOf, type ClusterConfig } from "../../runtime/core/cluster.ts";
import { errorText } from "../../runtime/core/error-text.ts";
import { EXIT, TwineError, usageError } from "../../runtime/core/errors.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { readChosenView } from "../../runtime/register/chosen-view.ts";
import {
  partitionsWithoutReplica,
  leaveCases,
  runCases,
  verifiedLine,
  withRouter,
  type CheckPorts,
  type CheckReport,
} from "../check/cases.ts";
import { checkStatus, isAllRunning, printStatus } from "../check/check-status.ts";
import { ITEM_COUNT, countItems, loadItems, openRouter } from "../check/items.ts";
import { setup, start } from "../local/commands.ts";
import { runningProcess } from "../local/files/pid-file.ts";
import { silentProgress } from "../local/progress.ts";
import { toolProgress } from "../local/tool-progress.ts";
import type { LocalRequest } from "../local/context.ts";

interface CheckOptions extends ToolOptions {
  readonly load?: boolean;
  readonly verify?: boolean;
  readonly status?: boolean;
  readonly yes?: boolean;
}

/** An item was lost, or a process does not run. */
const NOT_OK = 3;

function checkTool(): ReturnType<typeof tool> {
  return tool({
    name: "twine-check",
    summary:
      "Tests a cluster of this machine: starts it, loads 1,000 items, kills masters (kill -9) and counts the items after each failover. Works with Twine's own monitors and router, and with Sentinel and twemproxy.",
    examples: [
      "$ twine-check --yes",
      "$ twine-check --load && twine-check --verify",
      "$ twine-check --status",
      "$ twine-check --yes --json | jq '.cases[].backAfterMs'",
    ],
    exitCodes: {
      3: "an item is missing, or a process does not run",
      1: "no failover came in time, or the cluster is not whole; the error says why",
      130: "interrupted; what was killed is started again, and the items are removed",
    },
  })
    .option("--load", "load the items, and nothing else")
    .option("--verify", "count the items, and nothing else")
    .option("--status", "show which processes run, and nothing else")
    .option("--yes", "do not ask before nodes are killed");
}

async function main(): Promise<number> {
  const program = checkTool();
  const { options, config, isJson, request } = startTool<CheckOptions>(program);
  const ports = portsOf(config, { ...request, progress: silentProgress }, isJson);
  const chosen = [options.load, options.verify, options.status].filter((one) => one === true);
  if (chosen.length > 1)
    throw usageError("USAGE", "--load, --verify and --status are three runs", "give one of them");
  if (options.status === true) return await status(ports, isJson);
  if (nodesOf(config, "router").length === 0) throw noRouter(config);
  if (options.load === true) {
    await withRouter(ports, loadItems);
    ports.print("Data loaded\n");
    return EXIT.ok;
  }
  if (options.verify === true) return await verify(ports, isJson);
  const alone = partitionsWithoutReplica(ports);
  if (alone.length > 0) throw noReplica(alone);
  if (options.yes !== true && !(await isSure())) return EXIT.failure;
  const signal = interruptedOnce();
  ports.print("Start the stack\n");
  const full: LocalRequest = { ...request, progress: toolProgress(true), signal };
  await setup(full);
  await start(full);
  const report = await casesUntil(signal, { ...ports, signal });
  if (report === "interrupted") return EXIT.interrupted;
  if (isJson) process.stdout.write(`${JSON.stringify(report)}\n`);
  else {
    const times = report.cases.flatMap(({ number, backAfterMs }) =>
      backAfterMs === undefined ? [] : [`case ${number} ${(backAfterMs / 1000).toFixed(2)} s`],
    );
    process.stdout.write(`\nWrites were taken again after: ${times.join(", ")}\n`);
  }
  return report.isOk ? EXIT.ok : NOT_OK;
}

/** A second interruption ends the process at once. */
function interruptedOnce(): AbortSignal {
  const abort = new AbortController();
  onInterruption((reason) => {
    if (abort.signal.aborted) process.exit(EXIT.interrupted);
    abort.abort(reason);
  });
  return abort.signal;
}

/** Throws as runCases() does; CHECK_LEFT when the cluster could not be left as it was. */
async function casesUntil(
  signal: AbortSignal,
  ports: CheckPorts,
): Promise<CheckReport | "interrupted"> {
  const interrupted = once(signal, "abort").then(() => "interrupted" as const);
  const report = await Promise.race([runCases(ports), interrupted]).catch((error: unknown) => {
    if (signal.aborted) return "interrupted" as const;
    throw error;
  });
  if (report !== "interrupted") return report;
  process.stderr.write(
    "interrupted: what was killed is started again, and the items are removed\n",
  );
  try {
    await leaveCases(ports);
  } catch (cause) {
    const message = `the test was interrupted, and the cluster could not be left as it was: ${errorText(cause)}`;
    const remedy = "twine-start starts what was killed; the items' keys begin with twine-check:";
    throw new TwineError({ code: "CHECK_LEFT", message, remedy }, { cause });
  }
  return report;
}

function portsOf(config: ClusterConfig, request: LocalRequest, isJson: boolean): CheckPorts {
  const { password, dir } = request;
  const folder = dir ?? join(config.file, "..");
  const [router] = nodesOf(config, "router");
  const asked = { config, password, clock: systemClock, openLink: openRedisLink } as const;
  return {
    ...{ config, password },
    openRouter: () => {
      if (router === undefined) throw noRouter(config);
      return openRouter(config, router, password);
    },
    pidOf: async ({ host, name }) =>
      (await runningProcess(join(folder, "partitions", host, name, "pid")))?.pid,
    readView: () => readChosenView({ ...asked, user: "app" }),
    signal: new AbortController().signal,
    startAgain: () => start(request),
    print: (text) => {
      if (!isJson) process.stdout.write(text);
    },
  };
}

async function status(ports: CheckPorts, isJson: boolean): Promise<number> {
  const blocks = await checkStatus(ports);
  process.stdout.write(isJson ? `${JSON.stringify(blocks)}\n` : printStatus(blocks));
  return isAllRunning(blocks) ? EXIT.ok : NOT_OK;
}

async function verify(ports: CheckPorts, isJson: boolean): Promise<number> {
  const items = await withRouter(ports, countItems);
  process.stdout.write(
    isJson ? `${JSON.stringify({ items, of: ITEM_COUNT })}\n` : verifiedLine(items),
  );
  return items === ITEM_COUNT ? EXIT.ok : NOT_OK;
}

/** Throws USAGE when there is no terminal to ask on. */
async function isSure(): Promise<boolean> {
  if (!process.stdin.isTTY)
    throw usageError("USAGE", "twine-check kills nodes, and nobody can be asked here", "add --yes");
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const question =
      "Masters of this cluster will be killed and its data may be lost, are you sure? (y/n) ";
    return /^y(es)?$/i.test((await terminal.question(question)).trim());
  } finally {
    terminal.close();
  }
}

function noRouter({ file }: ClusterConfig): TwineError {
  return new TwineError({
    code: "CHECK_NO_ROUTER",
    message: `${file} has no router, through which the items would be written`,
    remedy: "add a line like r1=router 6379; twine-check --status works without",
  });
}

function noReplica(partitions: readonly number[]): TwineError {
  return new TwineError({
    code: "CHECK_NO_REPLICA",
    message: `shard ${partitions.map((partition) => partition + 1).join(" and ")} has no replica: nothing could take over`,
    remedy: "add a data line with the same partition",
  });
}

await runTool(main);
