#!/usr/bin/env node
// twine-setup [host]: writes partitions/HOST for one host of twine.conf, or for all of them.
import {
  printWarnings,
  runTool,
  startTool,
  tool,
  type ToolOptions,
} from "../../runtime/cli/tool.ts";
import { EXIT } from "../../runtime/core/errors.ts";
import { installUnits, setup, type SetupReport } from "../local/commands.ts";
import { toolProgress } from "../local/tool-progress.ts";

type SetupToolOptions = ToolOptions &
  Readonly<Partial<Record<"overwrite" | "adopt" | "installUnits", boolean>>>;

async function main(): Promise<number> {
  const program = tool({
    name: "twine-setup",
    summary: "Writes every node's folder and configuration to partitions/HOST. It starts nothing.",
    examples: [
      "$ twine-setup",
      "$ twine-setup db1",
      "$ twine-setup --overwrite      # undo edits by hand",
      "$ twine-setup db1 --dir /srv   # writes /srv/partitions/db1",
    ],
  })
    .argument("[host]", "a host of twine.conf (default: all of them)")
    .option("--overwrite", "replace generated files that were edited by hand")
    .option("--adopt", "mark data folders that carry no cluster's name as this cluster's")
    .option(
      "--install-units",
      "with supervisor systemd: install this machine's units and start them at boot (as root: units of the system, else of this user)",
    );
  const started = startTool<SetupToolOptions>(program);
  const { options, warnings, isJson } = started;
  const request = {
    ...started.request,
    host: program.args[0],
    progress: toolProgress(isJson),
  };
  const report = await setup(request, {
    overwrite: options.overwrite === true,
    adopt: options.adopt === true,
  });
  const units = options.installUnits === true ? await installUnits(request) : [];
  const all = [...warnings, ...report.warnings];
  if (isJson) {
    process.stdout.write(`${JSON.stringify({ ...report, units, warnings: all })}\n`);
  } else {
    printWarnings(all);
    printReport(report);
    for (const { folder, target, written, stale } of units) {
      process.stdout.write(
        `${written.length} units written to ${folder}; systemctl start ${target} starts the host\n`,
      );
      for (const unit of stale) {
        process.stderr.write(
          `warning: ${folder}/${unit} belongs to no node of twine.conf any more\n`,
        );
      }
    }
  }
  return EXIT.ok;
}

function printReport(report: SetupReport): void {
  for (const { host, folder, written, unchanged, kept } of report.hosts) {
    const parts = [
      `${written.length} ${written.length === 1 ? "file" : "files"} written`,
      `${unchanged.length} unchanged`,
      ...(kept.length === 0 ? [] : [`${kept.length} edited by hand and kept`]),
    ];
    process.stdout.write(`${host}: ${parts.join(", ")} in ${folder}\n`);
  }
}

await runTool(main);
