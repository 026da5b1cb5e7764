#!/usr/bin/env node
// twine-stop [host]: stops what twine-start started on this machine, routers first, status nodes last.
// Listens for Ctrl-C before it loads the rest of itself, so that even an early one is answered with what still runs.
import type { ToolOptions } from "../../runtime/cli/tool.ts";
import { interruption } from "../local/interruption.ts";

const { signal } = interruption();
const { EXIT } = await import("../../runtime/core/errors.ts");
const { loadConf, printWarnings, readPassword, runTool, tool } =
  await import("../../runtime/cli/tool.ts");
const { twineHome } = await import("../../runtime/cli/package-root.ts");
const { stop } = await import("../local/commands.ts");
const { toolProgress } = await import("../local/tool-progress.ts");

async function main(): Promise<number> {
  const program = tool({
    name: "twine-stop",
    summary:
      "Stops the routers, monitors and nodes of this machine, in an order that loses nothing, with their data saved.",
    examples: ["$ twine-stop", "$ twine-stop db1", "$ twine-stop --json | jq .stopped"],
    exitCodes: {
      1: "a node refuses to end, or another error; the text says which and why",
      130: "interrupted; the text says what was stopped and what still runs",
    },
  }).argument("[host]", "a host of twine.conf (default: those whose address is this machine's)");
  program.parse();
  const options = program.opts<ToolOptions>();
  const { config } = loadConf(options);
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
}

await runTool(main);
