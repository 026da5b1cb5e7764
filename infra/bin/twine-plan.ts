#!/usr/bin/env node
// twine-plan: shows what twine.conf means; what would change from another twine.conf; and how the running cluster differs
// from the file. It changes nothing.
import { requireTwinesMonitors } from "../../runtime/core/not-with-sentinel.ts";
import { twineHome } from "../../runtime/cli/package-root.ts";
import {
  loadConf,
  printWarnings,
  readPassword,
  runTool,
  tool,
  type LoadedConf,
  type ToolOptions,
} from "../../runtime/cli/tool.ts";
import { majorityOf, nodesOf, type ClusterConfig } from "../../runtime/core/cluster.ts";
import type { Secret } from "../../runtime/core/credentials.ts";
import { confDigest } from "../../runtime/core/conf/digest.ts";
import { EXIT, TwineError } from "../../runtime/core/errors.ts";
import { requireSameCluster } from "../../runtime/core/same-cluster.ts";
import type { View } from "../../runtime/core/view.ts";
import { systemClock } from "../../runtime/ports/clock.ts";
import { openRedisLink } from "../../runtime/ports/redis-link.ts";
import { otherAdoptedConf } from "../../runtime/register/adopted-conf.ts";
import { lookTwice } from "../../runtime/register/look-twice.ts";
import { knowledgeOf, type StatusKnowledge } from "../../runtime/status/knowledge.ts";
import { lookAtLive } from "../local/live.ts";
import { silentProgress } from "../local/progress.ts";
import { diffLive, mastersOf } from "../plan/diff-live.ts";
import { diffPlans, isSame, type PlanDifference, type PlannedCluster } from "../plan/diff-plans.ts";
import { planCluster } from "../plan/plan-cluster.ts";
import { differenceLines, liveLines, planLines } from "../plan/plan-words.ts";

interface PlanToolOptions extends ToolOptions {
  readonly diff?: string;
  readonly live?: boolean;
}

const DIFFERS = 3;

async function main(): Promise<number> {
  const program = tool({
    name: "twine-plan",
    summary:
      "Shows what twine.conf makes run on each host and in each partition. With --diff it shows what changes and how to apply it, with --live what runs in another way.",
    examples: [
      "$ twine-plan",
      "$ git show HEAD:twine.conf > old.conf; twine-plan --diff old.conf",
      "$ twine-plan --diff old.conf --json | jq -r '.changes[].text'",
      "$ twine-plan --live || twine-status",
    ],
    exitCodes: {
      0: "shown; with --diff or --live: nothing differs",
      3: "with --diff or --live: something differs",
    },
  })
    .option("--diff <file>", "compare: what changes from FILE to the cluster's file")
    .option("--live", "compare with what runs: roles, settings, versions, files edited by hand");
  program.parse();
  const options = program.opts<PlanToolOptions>();
  if (options.live === true && options.diff !== undefined) throw bothGiven();
  const loaded = loadConf(options);
  if (options.live === true) {
    requireTwinesMonitors(loaded.config, "twine-plan --live", "twine-status");
    return await compareLive(loaded, options);
  }
  const now = planned(loaded.config);
  return options.diff === undefined ? show(now, loaded, options) : compare(now, options);
}

function planned(config: ClusterConfig): PlannedCluster {
  const hasPassword = readPassword() !== undefined;
  return { config, plan: planCluster(config, { confPath: config.file, hasPassword }) };
}

function show(now: PlannedCluster, { warnings }: LoadedConf, { json }: PlanToolOptions): number {
  const all = [...warnings, ...now.plan.warnings];
  if (json === true) {
    const { cluster, confDigest, hosts } = now.plan;
    const services = hosts.map(({ name, address, services }) => ({ name, address, services }));
    const report = { cluster, confDigest, hosts: services, warnings: all };
    process.stdout.write(`${JSON.stringify(report)}\n`);
    return EXIT.ok;
  }
  printWarnings(all);
  printLines(planLines(now));
  return EXIT.ok;
}

function compare(now: PlannedCluster, { diff = "", json }: PlanToolOptions): number {
  // The cluster's file stays at its place: the name of the compared one is no change.
  const before = { ...loadConf({ conf: diff }).config, file: now.config.file };
  const difference = diffPlans(planned(before), now);
  if (json === true) process.stdout.write(`${JSON.stringify(difference)}\n`);
  else if (isSame(difference)) printLines(["nothing differs"]);
  else printLines(differenceLines(difference));
  return isSame(difference) ? EXIT.ok : DIFFERS;
}

const NOTHING: PlanDifference = { changes: [], services: [], keysMove: false, warnings: [] };

async function compareLive({ config }: LoadedConf, options: PlanToolOptions): Promise<number> {
  const password = readPassword();
  const [look, running] = await Promise.all([
    lookAtLive({
      config,
      password,
      dir: options.dir,
      home: twineHome(),
      progress: silentProgress,
    }),
    readRunning(config, password),
  ]);
  const { view, adopted } = running;
  // The plan of this machine, with the version of the installed Redis.
  const now = { config, plan: look.plan };
  const difference = adopted === undefined ? NOTHING : toAdopt(adopted, config, view);
  const live = diffLive(now, { ...look, ...running });
  const same = isSame(difference) && live.length === 0;
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify({ ...difference, live, notes: look.notes })}\n`);
  } else {
    for (const note of look.notes) process.stderr.write(`note: ${note}\n`);
    printLines(same ? ["nothing differs"] : liveLines(difference, live));
  }
  return same ? EXIT.ok : DIFFERS;
}

/** What adopting `config` changes. The adopted text has no path: a different path is no change. */
function toAdopt(adopted: ClusterConfig, config: ClusterConfig, view: View | null): PlanDifference {
  const before = planned({ ...adopted, file: config.file });
  return diffPlans(before, planned(config), view === null ? undefined : mastersOf(view));
}

/** The state of the running cluster on the status nodes. */
interface RunningView {
  /** null when fewer than a majority of the status nodes answered, or no view was published yet. */
  readonly view: View | null;
  /** Why there is no view, or why it may be old; null when there is no problem. */
  readonly viewProblem: string | null;
  /** The adopted twine.conf when it differs from `config`; also undefined when no status node that answers holds it. */
  readonly adopted: ClusterConfig | undefined;
}

/** Throws CLUSTER_DIFFERS when the view is another cluster's, VIEW_UNREADABLE when it can't be parsed. */
async function readRunning(
  config: ClusterConfig,
  password: Secret | undefined,
): Promise<RunningView> {
  const ports = { config, password, clock: systemClock, openLink: openRedisLink };
  const knowledge = knowledgeOf(await lookTwice(ports));
  const all = nodesOf(config, "status").length;
  const needed = majorityOf(all);
  if (knowledge.answered.length < needed) {
    const viewProblem = `${knowledge.answered.length} of ${all} status nodes answered; at least ${needed} must answer before roles can be compared`;
    return { view: null, viewProblem, adopted: undefined };
  }
  const { view } = knowledge;
  requireSameCluster(view, config);
  const adopted = await otherAdoptedConf(ports, view);
  const isKnown = view === null || adopted !== undefined || view.confDigest === confDigest(config);
  return { view, viewProblem: problemOf(knowledge, isKnown), adopted };
}

function problemOf({ view, alphaAlive }: StatusKnowledge, isConfKnown: boolean): string | null {
  if (view === null) return "the status nodes hold no view: no monitor has led this cluster yet";
  if (!alphaAlive) return "no monitor is alpha: the roles are those of the last view";
  if (isConfKnown) return null;
  return "the cluster runs by another twine.conf, and no status node that answered holds it";
}

function bothGiven(): TwineError {
  return new TwineError(
    {
      code: "USAGE",
      message: "--live and --diff can't be given together",
      remedy: "run twine-plan once with each",
    },
    { exitCode: EXIT.usage },
  );
}

function printLines(lines: readonly string[]): void {
  process.stdout.write(`${lines.join("\n")}\n`);
}

await runTool(main);
