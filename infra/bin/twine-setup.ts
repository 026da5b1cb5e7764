#!/usr/bin/env node
// twine-setup [host]: writes partitions/HOST for one host of twine.conf, or for all of them.
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
import { setup, type SetupReport } from "../local/commands.ts";
import { toolProgress } from "../local/tool-progress.ts";

interface SetupToolOptions extends ToolOptions {
  readonly overwrite?: boolean;
  readonly adopt?: boolean;
}

async function main(): Promise<number> {
  const program = tool({
    name: "twine-setup",
    summary: "Writes every node's folder and configuration below partitions/HOST; starts nothing.",
    examples: [
      "$ twine-setup",
      "$ twine-setup db1",
      "$ twine-setup --overwrite      # take hand edits back",
      "$ twine-setup db1 --dir /srv   # writes /srv/partitions/db1",
    ],
  })
    .argument("[host]", "a host of twine.conf (default: all of them)")
    .option("--overwrite", "replace generated files that were edited by hand")
    .option("--adopt", "take data folders without a stamp for this cluster's own");
  program.parse();
  const options = program.opts<SetupToolOptions>();
  const { config, warnings } = loadConf(options);
  const report = await setup(
    {
      config,
      dir: options.dir,
      host: program.args[0],
      password: readPassword(),
      home: twineHome(),
      progress: toolProgress(options.json === true),
    },
    { overwrite: options.overwrite === true, adopt: options.adopt === true },
  );
  const all = [...warnings, ...report.warnings];
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify({ ...report, warnings: all })}\n`);
  } else {
    printWarnings(all);
    printReport(report);
  }
  return EXIT.ok;
}

function printReport(report: SetupReport): void {
  for (const { host, folder, written, unchanged, kept } of report.hosts) {
    const parts = [
      `${written.length} files written`,
      `${unchanged.length} unchanged`,
      ...(kept.length === 0 ? [] : [`${kept.length} edited by hand and kept`]),
    ];
    process.stdout.write(`${host}: ${parts.join(", ")} in ${folder}\n`);
  }
}

await runTool(main);
