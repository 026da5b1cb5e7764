// change-gate.ts: refuses a change of twine.conf that would lose data or service, in a preview too, before any container or
// volume is changed.
//
//   the last deployment's twine.conf ─┐
//                  this one's ────────┴─▶ refusalsOf (infra/plan) ─▶ an error; with twine:force a warning, where force helps
import * as pulumi from "@pulumi/pulumi";
import { completeConfig } from "../../../runtime/core/conf/complete.ts";
import { parseConf } from "../../../runtime/core/conf/parse.ts";
import { nodesOf } from "../../../runtime/core/cluster.ts";
import type { Problem } from "../../../runtime/core/errors.ts";
import { diffPlans, type PlannedCluster } from "../../plan/diff-plans.ts";
import { isTakenAtStart } from "../../plan/diff-settings.ts";
import { planCluster } from "../../plan/plan-cluster.ts";
import type { PlanOptions } from "../../plan/plan.ts";
import { refusalsOf, type Refusal } from "../../plan/rolling/refusals.ts";
import type { RollingNode } from "../../plan/rolling/decide-steps.ts";
import { refusal } from "../refuse.ts";
import { lastConfOf, lastDeployment } from "./last-deployment.ts";

export interface GateInput {
  readonly now: PlannedCluster;
  readonly options: PlanOptions;
  /** The versions of the last deployment and of this one; undefined when the image's name does not contain it. */
  readonly images: { readonly before: string | undefined; readonly now: string };
}

/** All refusals of a change from `conf`, the text of a twine.conf. Empty when the text can't be parsed. */
export function refusedSince(conf: string, { now, options, images }: GateInput): Refusal[] {
  const parsed = parseConf(conf, "twine.conf");
  if (parsed.config === undefined) return [];
  const { config } = completeConfig(parsed.config);
  const { changes } = diffPlans({ config, plan: planCluster(config, options) }, now);
  // On one engine a node keeps its volume when it moves to another host.
  const keepsVolumes = options.placement === "pods";
  const judged = refusalsOf({
    before: config,
    after: now.config,
    changes: changes.filter(({ kind }) => !keepsVolumes || kind !== "moved"),
    nodes: restarted(
      now,
      changes.map(({ subject }) => subject),
      images,
    ),
    versions: versionsOf(now, images),
  });
  return judged
    .filter(({ problem }) => !keepsVolumes || problem.code !== "MOVES_TOGETHER")
    .map(inPulumisWords);
}

/** Data nodes that get a new container although they do not move. */
function restarted(
  { config }: PlannedCluster,
  subjects: readonly string[],
  { before, now }: GateInput["images"],
): RollingNode[] {
  const why = subjects.filter(
    (subject) => subject.startsWith("redis ") && isTakenAtStart(subject.slice("redis ".length)),
  );
  if (before !== undefined && before !== now) why.push("twine:redisImage");
  if (why.length === 0) return [];
  return nodesOf(config, "data").map(({ name, partition }) => ({
    ...{ name, partition },
    need: { kind: "restart", why },
  }));
}

function versionsOf(
  { config }: PlannedCluster,
  { before, now }: GateInput["images"],
): { readonly name: string; readonly running: string; readonly installed: string }[] {
  const [running, installed] = [versionIn(before ?? ""), versionIn(now)];
  if (running === undefined || installed === undefined) return [];
  return nodesOf(config, "data").map(({ name }) => ({ name, running, installed }));
}

/** "redis 7.2" from redis:7.2-bookworm; undefined for a digest or a tag without two numbers. */
export function versionIn(image: string): string | undefined {
  const found = /(?:^|\/)(redis|valkey):v?(\d+)\.(\d+)(?:\.(\d+))?(?:[-@]|$)/.exec(image);
  if (found === null) return undefined;
  const [, server = "", major = "", minor = "", patch = "0"] = found;
  return `${server} ${major}.${minor}.${patch}`;
}

function inPulumisWords({ problem, lost }: Refusal): Refusal {
  const told = (text: string): string =>
    text
      .replaceAll("twine-apply", "pulumi up")
      .replaceAll("is installed", "is in twine:redisImage");
  const remedy = problem.remedy === undefined ? {} : { remedy: told(problem.remedy) };
  const words: Problem = { ...problem, message: told(problem.message), ...remedy };
  return lost === undefined ? { problem: words } : { problem: words, lost };
}

/**
 * Resolves when the change may be made; rejects with a pulumi.RunError of all refusals. `component`: the one whose output
 * `conf` held the last twine.conf.
 */
export async function changeGate(
  component: pulumi.Resource,
  input: Omit<GateInput, "images"> & {
    readonly redisImage: string;
    readonly imageResource: string;
  },
  isForced: boolean,
): Promise<void> {
  const [last, conf] = [await lastDeployment(), await lastConfOf(component)];
  if (conf === undefined) return;
  const images = { before: last.image(input.imageResource), now: input.redisImage };
  const refused = refusedSince(conf, { ...input, images });
  const isWaved = ({ lost }: Refusal): boolean => isForced && lost !== undefined;
  for (const { problem, lost } of refused.filter(isWaved)) {
    await pulumi.log.warn(`twine:force: ${problem.message}; may be lost: ${lost ?? ""}`, component);
  }
  const problems = refused.filter((one) => !isWaved(one)).map(withForce);
  if (problems.length > 0) throw refusal(problems);
}

function withForce({ problem, lost }: Refusal): Problem {
  if (lost === undefined) return problem;
  const force = `or, to lose ${lost}: pulumi config set twine:force true, for this one up`;
  return { ...problem, remedy: `${problem.remedy ?? ""}; ${force}` };
}
