#!/usr/bin/env node
// twine-reload [host|node]: makes monitors and routers of this machine read twine.conf again, without a restart.
import { printWarnings, runTool, startTool, tool } from "../../runtime/cli/tool.ts";
import { EXIT } from "../../runtime/core/errors.ts";
import { hostOrNode } from "../local/choose-hosts.ts";
import { reload } from "../local/commands.ts";
import { toolProgress } from "../local/tool-progress.ts";

async function main(): Promise<number> {
  const program = tool({
    name: "twine-reload",
    summary:
      "Makes the monitors and routers of this machine read twine.conf, users-file and certificates again (SIGHUP). " +
      "A file with an error is refused before any signal is sent.",
    examples: ["$ twine-reload", "$ twine-reload r1", "$ twine-reload --json | jq .reloaded"],
    exitCodes: { 1: "twine.conf has an error, or a process belongs to another user" },
  }).argument(
    "[what]",
    "a host, a monitor or a router of twine.conf (default: the hosts whose address is this machine's)",
  );
  const { config, warnings, isJson, request } = startTool(program);
  const report = await reload({
    ...request,
    ...hostOrNode(config, program.args[0]),
    progress: toolProgress(isJson),
  });
  if (isJson) {
    process.stdout.write(`${JSON.stringify({ ...report, warnings })}\n`);
    return EXIT.ok;
  }
  printWarnings(warnings);
  for (const name of report.reloaded) process.stdout.write(`${name}: reads twine.conf again\n`);
  process.stdout.write(
    `${report.reloaded.length} reloaded, ${report.notRunning.length} were not running\n`,
  );
  return EXIT.ok;
}

await runTool(main);
