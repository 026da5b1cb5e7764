#!/usr/bin/env node
// twine-stop [host]: stops what twine-start started on this machine, routers first, status nodes last.
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
import { stop } from "../local/commands.ts";
import { interruption, toolProgress } from "../local/tool-progress.ts";

async function main(): Promise<number> {
  const program = tool({
    name: "twine-stop",
    summary:
      "Stops the routers, monitors and nodes of this machine, in an order that loses nothing, with their data saved.",
    examples: ["$ twine-stop", "$ twine-stop db1", "$ twine-stop --json | jq .stopped"],
    exitCodes: { 1: "a node refuses to end, or another error; the text says which and why" },
  }).argument("[host]", "a host of twine.conf (default: those whose address is this machine's)");
  program.parse();
  const options = program.opts<ToolOptions>();
  const { config } = loadConf(options);
  const { signal, release } = interruption();
  try {
    const report = await stop({
      config,
      dir: options.dir,
      host: program.args[0],
      password: readPassword(),
      home: twineHome(),
      progress: toolProgress(options.json === true),
      signal,
    });
    if (options.json === true) process.stdout.write(`${JSON.stringify(report)}\n`);
    else {
      printWarnings(report.warnings);
      const { stopped, notRunning } = report;
      process.stdout.write(`${stopped.length} stopped, ${notRunning.length} were not running\n`);
    }
    return EXIT.ok;
  } finally {
    release();
  }
}

await runTool(main);
