#!/usr/bin/env node
// twine-reshard: other partitions, another hash or another hash-tag for a running cluster, without an outage.
//
//   check NEW.conf and its new nodes -> estimate -> copy and follow -> switch (move/reshard)
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { interruption } from "../cli/interruption.ts";
import {
  loadConf,
  printWarnings,
  readPassword,
  runTool,
  tool,
  type ToolOptions,
} from "../cli/tool.ts";
import { EXIT, TwineError } from "../core/errors.ts";
import { requireTwinesMonitors } from "../core/not-with-sentinel.ts";
import type { CopyProgress } from "../move/reshard/copying.ts";
import {
  planReshard,
  reshardInto,
  type IntoOptions,
  type Planned,
} from "../move/reshard/into-partitions.ts";
import type { ReshardPhase, ReshardReport } from "../move/reshard/reshard.ts";
import { systemClock } from "../ports/clock.ts";
import { loadNodesTls } from "../ports/tls-files.ts";

interface Options extends ToolOptions {
  readonly dryRun?: boolean;
  readonly empty?: boolean;
  readonly scratch?: string;
}

function program() {
  return tool({
    name: "twine-reshard",
    summary:
      "Moves a running cluster to the partitions, hash and hash-tag of NEW.conf while it serves. The data nodes of NEW.conf must be new, and run.",
    examples: ["$ twine-reshard NEW.conf --dry-run", "$ twine-reshard NEW.conf"],
    exitCodes: { 130: "interrupted; the old partitions serve on" },
  })
    .argument("<new.conf>", "the cluster's file with other partitions, and new data nodes")
    .option("--dry-run", "only check, and show how many keys and bytes go where")
    .option("--empty", "drop the keys on the new nodes, left from a resharding that was broken off")
    .option(
      "--scratch <folder>",
      "folder for changes that wait to be copied (default: the system's temporary folder)",
    );
}

async function main(): Promise<number> {
  const command = program();
  command.parse();
  const options = command.opts<Options>();
  const { config, warnings } = loadConf({ ...options, conf: command.args[0] ?? "" });
  requireTwinesMonitors(
    config,
    "twine-reshard",
    "move the data with twine-backup and twine-restore",
  );
  printWarnings(warnings);
  const signal = interruption();
  const isJson = options.json === true;
  const home = await mkdtemp(join(resolve(options.scratch ?? tmpdir()), "twine-reshard-"));
  const progress = new ProgressLines(isJson);
  const into: IntoOptions = {
    ...{ config, signal, clock: systemClock, password: readPassword() },
    tls: loadNodesTls(config),
    mayEmpty: options.empty === true,
    newFolder: () => mkdtemp(join(home, "feeds-")),
    onPhase: (phase, now) => {
      progress.show(phase, now);
    },
    onRepeat: (why) => {
      progress.say(`again: ${why}`);
    },
  };
  try {
    const planned = await planReshard(into);
    try {
      if (!isJson) process.stdout.write(planText(planned));
      if (options.dryRun === true) {
        if (isJson) print({ ok: true, shares: planned.shares });
        return EXIT.ok;
      }
      const report = await reshardInto(planned, into);
      if (isJson) print({ ok: true, shares: planned.shares, ...report });
      else process.stdout.write(doneText(report, config.file));
      return EXIT.ok;
    } finally {
      planned.nodes.close();
    }
  } catch (error) {
    if (!signal.aborted || error instanceof TwineError) throw error;
    process.stderr.write("interrupted: the old partitions serve on\n");
    return EXIT.interrupted;
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

function planText({ view, shares }: Planned): string {
  const lines = shares.map(
    ({ partition, keys, bytes }) =>
      `  partition ${partition}: about ${keys} keys, ${mebibytes(bytes)}\n`,
  );
  return `from ${view.partitions.length} to ${shares.length} partitions:\n${lines.join("")}`;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

function doneText({ keys, heldMs, misplacedKeys }: ReshardReport, file: string): string {
  const misplaced =
    misplacedKeys === 0
      ? ""
      : `${misplacedKeys} keys lay in a partition that is not theirs, where no client could read them: they were left out.\n`;
  return (
    `the new partitions serve: ${keys} keys were copied, and requests were held for ${heldMs} ms\n${misplaced}` +
    `Now replace twine.conf by ${file} on every host and run twine-apply there: it also stops the old data nodes.\n` +
    "Their folders stay, with the data from before.\n"
  );
}

function progressText(
  phase: ReshardPhase,
  { keys, keysTotal, bytes, lagBytes }: CopyProgress,
): string {
  const behind = phase === "copying" ? "" : `, ${lagBytes} bytes behind`;
  return `${keys} of ${keysTotal} keys, ${mebibytes(bytes)}${behind}`;
}

const LINE_EVERY_MS = 2_000;

/** A line at every new phase and every two seconds, on standard error. */
class ProgressLines {
  readonly #isQuiet: boolean;
  #phase = "";
  #shownAtMs = -Infinity;

  constructor(isQuiet: boolean) {
    this.#isQuiet = isQuiet;
  }

  say(line: string): void {
    if (!this.#isQuiet) process.stderr.write(`${line}\n`);
  }

  show(phase: ReshardPhase, progress: CopyProgress | undefined): void {
    const nowMs = systemClock.nowMs();
    if (phase === this.#phase && nowMs - this.#shownAtMs < LINE_EVERY_MS) return;
    this.#phase = phase;
    this.#shownAtMs = nowMs;
    this.say(progress === undefined ? phase : `${phase}: ${progressText(phase, progress)}`);
  }
}

await runTool(main);
