#!/usr/bin/env node
// twine-start [host|node]: starts the processes of this machine that do not run yet; either all of them or none, or with
// --keep-going as many as start.
import { Option } from "commander";
import {
  printWarnings,
  runTool,
  startTool,
  tool,
  type ToolOptions,
} from "../../runtime/cli/tool.ts";
import { EXIT } from "../../runtime/core/errors.ts";
import { hostOrNode } from "../local/choose-hosts.ts";
import { start } from "../local/commands.ts";
import { interruption } from "../local/interruption.ts";
import { printProblems } from "../local/progress.ts";
import { toolProgress } from "../local/tool-progress.ts";

interface StartOptions extends ToolOptions {
  readonly keepGoing?: boolean;
  readonly forMonit?: string;
}

async function main(): Promise<number> {
  const program = tool({
    name: "twine-start",
    summary:
      "Starts the nodes, monitors and routers of this machine that do not run yet. They keep running in the background.",
    examples: [
      "$ twine-start",
      "$ twine-start db1",
      "$ twine-start a6666",
      "$ twine-start --json | jq .started",
    ],
    exitCodes: {
      1: "a node can't start, or one that runs does not answer; without --keep-going what this command had started is stopped again",
      130: "interrupted; what this command had started is stopped again",
    },
  })
    .argument(
      "[what]",
      "a host or a node of twine.conf (default: the hosts whose address is this machine's)",
    )
    .option("--keep-going", "leave running what started, even if other nodes fail")
    .addOption(
      // Used in monitrc only; users do not need it.
      new Option(
        "--for-monit <node>",
        "start what the host lacks, but not what a person stopped",
      ).hideHelp(),
    );
  const { options, config, warnings, isJson, request } = startTool<StartOptions>(program);
  const signal = interruption();
  const report = await start({
    ...request,
    ...hostOrNode(config, program.args[0]),
    progress: toolProgress(isJson),
    signal,
    keepGoing: options.keepGoing,
    monitNode: options.forMonit,
  });
  const all = [...warnings, ...report.warnings];
  if (isJson) {
    process.stdout.write(`${JSON.stringify({ ...report, warnings: all })}\n`);
  } else {
    printWarnings(all);
    printProblems(report.problems);
    const { started, alreadyRunning, failed, silent } = report;
    const counts = [
      `${started.length} started`,
      `${alreadyRunning.length} were already running`,
      ...(failed.length === 0 ? [] : [`${failed.length} did not start`]),
      ...(silent.length === 0 ? [] : [`${silent.length} of those that run do not answer`]),
    ];
    process.stdout.write(`${counts.join(", ")}\n`);
  }
  return report.failed.length + report.silent.length === 0 ? EXIT.ok : EXIT.failure;
}

await runTool(main);
