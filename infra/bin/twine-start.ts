#!/usr/bin/env node
// twine-start [host]: starts what does not run yet on this machine; either all of it, or nothing, or with --keep-going
// as much of it as starts.
import { twineHome } from "../../runtime/cli/package-root.ts";
import {
  loadConf,
  printWarnings,
  readPassword,
  runTool,
  tool,
  type ToolOptions,
} from "../../runtime/cli/tool.ts";
import { EXIT } from "../../runtime/core/errors.ts";
import { start } from "../local/commands.ts";
import { interruption } from "../local/interruption.ts";
import { printProblems } from "../local/progress.ts";
import { toolProgress } from "../local/tool-progress.ts";

interface StartOptions extends ToolOptions {
  readonly keepGoing?: boolean;
}

async function main(): Promise<number> {
  const program = tool({
    name: "twine-start",
    summary:
      "Starts the nodes, monitors and routers of this machine that do not run yet. They go on when it ends.",
    examples: ["$ twine-start", "$ twine-start db1", "$ twine-start --json | jq .started"],
    exitCodes: {
      1: "a node can't start; without --keep-going what this call had started is stopped again",
      130: "interrupted; what this call had started is stopped again",
    },
  })
    .argument("[host]", "a host of twine.conf (default: those whose address is this machine's)")
    .option("--keep-going", "leave running what started, though other nodes fail");
  program.parse();
  const options = program.opts<StartOptions>();
  const { config, warnings } = loadConf(options);
  const signal = interruption();
  const report = await start({
    config,
    dir: options.dir,
    host: program.args[0],
    password: readPassword(),
    home: twineHome(),
    progress: toolProgress(options.json === true),
    signal,
    keepGoing: options.keepGoing,
  });
  const all = [...warnings, ...report.warnings];
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify({ ...report, warnings: all })}\n`);
  } else {
    printWarnings(all);
    printProblems(report.problems);
    const { started, alreadyRunning, failed } = report;
    const missing = failed.length === 0 ? "" : `, ${failed.length} did not start`;
    process.stdout.write(
      `${started.length} started, ${alreadyRunning.length} were already running${missing}\n`,
    );
  }
  return report.failed.length === 0 ? EXIT.ok : EXIT.failure;
}

await runTool(main);
