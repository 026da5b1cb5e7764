#!/usr/bin/env node
// twine-reshard: other partitions, another hash or another hash-tag for a running cluster, without an outage.
//
//   check NEW.conf and its new nodes -> estimate -> copy and follow -> switch -> keep the way back (move/reshard)
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { bytesText } from "../backup/backup-text.ts";
import { withScratch } from "../backup/restore/scratch.ts";
import { interruption } from "../cli/interruption.ts";
import {
  loadConf,
  printWarnings,
  readPassword,
  runTool,
  tool,
  type ToolOptions,
} from "../cli/tool.ts";
import { EXIT, TwineError, usageError } from "../core/errors.ts";
import { requireTwinesMonitors } from "../core/not-with-sentinel.ts";
import { parseDuration, printDuration } from "../core/conf/durations.ts";
import { parseCopyLimit } from "../move/copy-pace.ts";
import { askBack, type AskBackOptions } from "../move/reshard/ask-back.ts";
import {
  planReshard,
  reshardInto,
  type IntoOptions,
  type Planned,
} from "../move/reshard/into-partitions.ts";
import type { NowProgress, ReshardPhase, ReshardReport } from "../move/reshard/reshard.ts";
import type { HoldSteps } from "../move/reshard/switch-over.ts";
import { endCode, endText, RETURNED } from "../move/reshard/way-back-text.ts";
import type { VerifyProgress } from "../move/verify/verify.ts";
import { systemClock } from "../ports/clock.ts";
import { loadNodesTls } from "../ports/tls-files.ts";
import { NodeError } from "../replication/node-error.ts";

interface Options extends ToolOptions {
  readonly dryRun?: boolean;
  readonly empty?: boolean;
  readonly rate?: string;
  readonly verify: boolean;
  readonly server?: string;
  readonly scratch?: string;
  readonly wayBack: string;
  readonly back?: boolean;
}

function program() {
  return tool({
    name: "twine-reshard",
    summary:
      "Moves a running cluster to the partitions, hash and hash-tag of NEW.conf while it serves. The data nodes of NEW.conf must be new, and run.",
    examples: [
      "$ twine-reshard NEW.conf --dry-run",
      "$ twine-reshard NEW.conf --way-back 1h",
      "$ twine-reshard NEW.conf --way-back 0s",
      "$ twine-reshard --back",
    ],
    exitCodes: {
      [RETURNED]: "the old partitions serve again: twine-reshard --back",
      130: "interrupted before the switch; the old partitions serve on",
    },
  })
    .argument("[new.conf]", "the cluster's file with other partitions, and new data nodes")
    .option("--dry-run", "only check, and show how many keys and bytes go where")
    .option(
      "--way-back <time>",
      "after the switch, keep running for so long, so that --back is possible; 0s, for scripts: end at once",
      "10m",
    )
    .option(
      "--back",
      "let the old partitions serve again; the twine-reshard that keeps the way back must still run",
    )
    .option(
      "--rate <limit>",
      "copy at most so many keys a second (20000), or bytes (10mb); max: slow down for nothing (default: slow down while the sources answer late)",
    )
    .option("--no-verify", "switch without comparing every key of the old and the new nodes before")
    .option(
      "--server <program>",
      "the redis-server that loads values to compare them (default: that of PATH); it should be as new as the newest node",
    )
    .option("--empty", "drop the keys on the new nodes, left from a resharding that was broken off")
    .option(
      "--scratch <folder>",
      "folder for changes that wait to be copied, and for what is compared (default: the system's temporary folder)",
    );
}

async function main(): Promise<number> {
  const command = program();
  command.parse();
  const options = command.opts<Options>();
  const [file] = command.args;
  if (file === undefined && options.back !== true) throw wrongUsage("name NEW.conf, or --back");
  const wayBackMs = parseDuration(options.wayBack === "0" ? "0s" : options.wayBack);
  if (wayBackMs === undefined) throw wrongUsage("--way-back needs a time such as 10m, 1h or 0s");
  const { config, warnings } = loadConf({
    ...options,
    ...(file === undefined ? {} : { conf: file }),
  });
  requireTwinesMonitors(
    config,
    "twine-reshard",
    "move the data with twine-backup and twine-restore",
  );
  printWarnings(warnings);
  const signal = interruption();
  const common = { config, signal, clock: systemClock, password: readPassword() };
  if (options.back === true) return returned(options, common);
  const limit = options.rate === undefined ? {} : parseCopyLimit(options.rate);
  if (limit === undefined)
    throw wrongUsage(
      "--rate needs keys a second such as 20000 (1000 at least), bytes such as 10mb (100kb at least), or max",
    );
  const ports = { ...common, tls: loadNodesTls(config), wayBackMs, limit };
  try {
    return await withScratch(resolve(options.scratch ?? tmpdir()), (folder) =>
      moved(options, { ...ports, newFolder: () => mkdtemp(join(folder, "feeds-")) }),
    );
  } catch (error) {
    if (error instanceof TwineError) throw error;
    if (signal.aborted) {
      process.stderr.write("interrupted: the old partitions serve on\n");
      return EXIT.interrupted;
    }
    throw error instanceof NodeError ? broken(error) : error;
  }
}

function wrongUsage(message: string): TwineError {
  return usageError("USAGE", message, "twine-reshard --help shows examples");
}

async function returned(options: Options, ports: AskBackOptions): Promise<number> {
  await askBack(ports);
  if (options.json === true) print({ ok: true });
  else process.stdout.write("the old partitions serve again\n");
  return EXIT.ok;
}

async function moved(
  options: Options,
  ports: Omit<
    IntoOptions,
    "mayEmpty" | "verifies" | "onPhase" | "onRepeat" | "onLeft" | "onServed"
  >,
): Promise<number> {
  const isJson = options.json === true;
  const progress = new ProgressLines(isJson);
  const into: IntoOptions = {
    ...ports,
    mayEmpty: options.empty === true,
    ...{ verifies: options.verify, program: options.server },
    onPhase: (phase, now) => {
      progress.show(phase, now);
    },
    onRepeat: (why) => {
      progress.say(`trying again: ${why}`);
    },
    onServed: (report, noWayBack) => {
      if (!isJson) process.stdout.write(doneText(report));
      if (noWayBack !== undefined) progress.say(`no way back: ${noWayBack}`);
      else if (ports.wayBackMs > 0) progress.say(keptText(ports));
    },
    onLeft: (nodes) => {
      progress.say(`could not be emptied: ${nodes.join(", ")}; the next try needs --empty`);
    },
  };
  const planned = await planReshard(into);
  try {
    if (!isJson) process.stdout.write(planText(planned));
    if (options.dryRun === true) {
      if (isJson) print({ ok: true, shares: planned.shares });
      return EXIT.ok;
    }
    const { report, wayBack } = await reshardInto(planned, into);
    const code = endCode(wayBack);
    if (isJson)
      print({
        ok: code === EXIT.ok,
        shares: planned.shares,
        ...report,
        ...(wayBack && { wayBack }),
      });
    else process.stdout.write(endText(wayBack, ports.config.file));
    return code;
  } finally {
    planned.nodes.close();
  }
}

/** Whatever a node did, nothing was committed. */
function broken(error: NodeError): TwineError {
  const remedy =
    error.kind === "denied"
      ? "the old partitions serve on; every node of twine.conf and NEW.conf needs the cluster's password (twine-password); restart a node that a killed twine-reshard kept for a way back"
      : "the old partitions serve on; see whether that node runs (twine-status), and run the command again";
  const message = `the resharding ended because of a node: ${error.message}`;
  return new TwineError({ code: "RESHARD_BROKEN", message, remedy }, { cause: error });
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

function planText({ view, shares }: Planned): string {
  const lines = shares.map(
    ({ partition, keys, bytes }) =>
      `  partition ${partition}: about ${keys} keys, ${bytesText(bytes)}\n`,
  );
  return `from ${view.partitions.length} to ${shares.length} partitions:\n${lines.join("")}`;
}

function doneText({ keys, heldMs, steps, misplacedKeys, verified }: ReshardReport): string {
  const where = steps === null ? "" : ` (${stepsText(steps)})`;
  const compared =
    verified === null
      ? "nothing was compared before the switch (--no-verify)\n"
      : `${verified.sourceKeys} keys were compared before the switch: the same\n`;
  const misplaced =
    misplacedKeys === 0
      ? ""
      : `${misplacedKeys} keys were in the wrong partition, where no client can read them. They were not copied.\n`;
  return `the new partitions serve: ${keys} keys were copied, and requests were held for ${heldMs} ms${where}\n${compared}${misplaced}`;
}

function stepsText({ pauseMs, copyMs, fenceMs, readyMs, commitMs }: HoldSteps): string {
  return `paused after ${pauseMs}, copied in ${copyMs}, detached in ${fenceMs}, in sync in ${readyMs}, published in ${commitMs} ms`;
}

function keptText({ wayBackMs }: Pick<IntoOptions, "wayBackMs">): string {
  return (
    `For ${printDuration(wayBackMs)} the old partitions can serve again, with every write: twine-reshard --back, in another shell. ` +
    "Leave this running, and leave twine.conf as it is. Ctrl-C ends the way back at once."
  );
}

function progressText(
  phase: ReshardPhase,
  { keys, keysTotal, bytes, lagBytes, verify }: NowProgress,
): string {
  if (phase === "verifying") return verifyText(verify);
  const behind = phase === "copying" ? "" : `, ${lagBytes} bytes behind`;
  return `${keys} of ${keysTotal} keys, ${bytesText(bytes)}${behind}`;
}

function verifyText(progress: VerifyProgress | undefined): string {
  if (progress === undefined) return "every key is compared";
  const { pass, bytes, suspects } = progress;
  const what = suspects === undefined ? "all keys" : `keys that differ byte by byte (${suspects})`;
  return `pass ${pass}: ${what}, ${bytesText(bytes)} read`;
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

  show(phase: ReshardPhase, progress: NowProgress | undefined): void {
    const nowMs = systemClock.nowMs();
    if (phase === this.#phase && nowMs - this.#shownAtMs < LINE_EVERY_MS) return;
    this.#phase = phase;
    this.#shownAtMs = nowMs;
    this.say(progress === undefined ? phase : `${phase}: ${progressText(phase, progress)}`);
  }
}

await runTool(main);
