#!/usr/bin/env node
// twine-apply [host]: changes the processes of this machine to match twine.conf, without an outage. Run it on every host,
// in any order or at the same time.
// Listens for Ctrl-C before it loads its other modules: after Ctrl-C it finishes the node that it is changing.
import type { ToolOptions } from "../../runtime/cli/tool.ts";
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import type { View } from "../../runtime/core/view.ts";
import type { Change } from "../plan/diff-nodes.ts";
import type { ApplyReport } from "../local/apply/apply.ts";
import { interruption } from "../local/interruption.ts";

const signal = interruption();
const { printWarnings, runTool, startTool, tool } = await import("../../runtime/cli/tool.ts");
const { parseDuration } = await import("../../runtime/core/conf/durations.ts");
const { EXIT, usageError } = await import("../../runtime/core/errors.ts");
const { requireSameCluster } = await import("../../runtime/core/same-cluster.ts");
const { systemClock } = await import("../../runtime/ports/clock.ts");
const { silentLog } = await import("../../runtime/ports/log.ts");
const { openRedisLink } = await import("../../runtime/ports/redis-link.ts");
const { otherAdoptedConf } = await import("../../runtime/register/adopted-conf.ts");
const { refusalOf } = await import("../../runtime/register/ask-once.ts");
const { followView } = await import("../../runtime/register/follow.ts");
const { firstView } = await import("../../runtime/register/open-view.ts");
const { apply } = await import("../local/apply/apply.ts");
const { toolProgress } = await import("../local/tool-progress.ts");
const { mastersOf } = await import("../plan/diff-live.ts");
const { diffPlans } = await import("../plan/diff-plans.ts");
const { planCluster } = await import("../plan/plan-cluster.ts");

interface ApplyToolOptions extends ToolOptions {
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly overwrite?: boolean;
  readonly wait: string;
  readonly partitions: string;
}

/** Some steps are left: other hosts have not done their part, or a node is not in sync. */
const LEFT = 3;
const FIRST_VIEW_WITHIN_MS = 3000;
const PARTITIONS_MAX = 64;

async function main(): Promise<number> {
  const program = tool({
    name: "twine-apply",
    summary:
      "Brings what runs on this machine to what twine.conf says, without an outage: settings while the nodes run, restarts one node of a partition at a time, masters handed over first. Copy twine.conf to every host and run it on each, in any order or at the same time.",
    examples: [
      "$ twine-apply --dry-run",
      "$ twine-apply",
      "$ for host in db1 db2 db3; do ssh $host twine-apply & done; wait",
      "$ twine-apply --json | jq '.done[].node'",
    ],
    exitCodes: {
      0: "everything of this machine is as twine.conf says; with --dry-run: nothing would be done",
      1: "refused, or a step failed; the error says why, and what was done before stays",
      3: "something is left, and waits for another host or a node; with --dry-run: something would be done",
      130: "interrupted; the node that was being changed is finished, and the next twine-apply goes on",
    },
  })
    .argument("[host]", "a host of twine.conf (default: those whose address is this machine's)")
    .option("--dry-run", "show what would be done on this machine, and do nothing")
    .option("--force", "do what is refused because something may be lost; the refusal says what")
    .option("--overwrite", "replace generated files that were edited by hand")
    .option("--wait <time>", "how long to wait for other hosts, and for nodes in the way", "1m")
    .option("--partitions <count>", "how many partitions this machine changes at once", "4");
  const { options, config, warnings, isJson, request } = startTool<ApplyToolOptions>(program);
  const ports = {
    ...{ config, password: request.password, clock: systemClock },
    ...{ openLink: openRedisLink, log: silentLog },
  };
  const source = followView({ ...ports, user: "monitor" });
  try {
    await firstView(source, systemClock, FIRST_VIEW_WITHIN_MS);
    const seen = source.current() ?? null;
    requireSameCluster(seen, config);
    const before = await otherAdoptedConf(ports, seen);
    const report = await apply(
      { ...request, host: program.args[0], progress: toolProgress(isJson), signal },
      {
        view: () => (source.isConfirmed() ? (source.current() ?? null) : null),
        promote: (node) => refusalOf(ports, { kind: "promote-to", node }),
      },
      {
        overwrite: options.overwrite === true,
        isForced: options.force === true,
        isDry: options.dryRun === true,
        waitMs: durationOf(options.wait),
        partitionsAtOnce: countOf(options.partitions),
        before,
        changes: before === undefined ? [] : changesTo(before, config, seen),
      },
    );
    return show({ ...report, warnings: [...warnings, ...report.warnings] }, options);
  } finally {
    await source.close();
  }
}

/** The adopted text has no path: a different path is no change. */
function changesTo(
  before: ClusterConfig,
  after: ClusterConfig,
  view: View | null,
): readonly Change[] {
  const planned = (config: ClusterConfig) => ({
    config,
    plan: planCluster(config, { confPath: after.file, hasPassword: true }),
  });
  const masters = view === null ? undefined : mastersOf(view);
  return diffPlans(planned({ ...before, file: after.file }), planned(after), masters).changes;
}

function show(report: ApplyReport, { json, dryRun }: ApplyToolOptions): number {
  const { done, handovers, waits, warnings } = report;
  if (json === true) process.stdout.write(`${JSON.stringify(report)}\n`);
  else {
    printWarnings(warnings);
    if (dryRun === true) {
      for (const { node, what } of done) process.stdout.write(`${node}: ${what}\n`);
      if (done.length === 0) process.stdout.write("nothing to do on this machine\n");
    } else {
      for (const { node, why } of waits) process.stderr.write(`left: ${node}: ${why}\n`);
      const left = waits.length === 0 ? "" : `, ${waits.length} left`;
      process.stdout.write(`${done.length} done, ${handovers} handovers${left}\n`);
    }
  }
  const isLeft = dryRun === true ? done.length > 0 : waits.length > 0;
  return isLeft ? LEFT : EXIT.ok;
}

function durationOf(text: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined) return ms;
  throw usageError(
    "USAGE",
    `--wait ${text} is no duration`,
    "write a number with its unit, e.g. --wait 90s",
  );
}

function countOf(text: string): number {
  const count = Number(text);
  if (Number.isSafeInteger(count) && count >= 1 && count <= PARTITIONS_MAX) return count;
  throw usageError(
    "USAGE",
    `--partitions ${text} is no count`,
    `write a number from 1 to ${PARTITIONS_MAX}`,
  );
}

await runTool(main);
