// preview-words.ts: in `pulumi preview` and `pulumi up`, prints the change of twine.conf as text, as twine-plan does.
//
//   the last deployment's twine.conf (an output of the cluster's component) -> plan ─┐
//                                                this one's twine.conf -> plan ──────┴─▶ differenceLines
//
// Nothing depends on it: if the last deployment can't be read, nothing is printed.
import * as pulumi from "@pulumi/pulumi";
import { completeConfig } from "../../runtime/core/conf/complete.ts";
import { parseConf } from "../../runtime/core/conf/parse.ts";
import { diffPlans, type PlannedCluster } from "../plan/diff-plans.ts";
import { planCluster } from "../plan/plan-cluster.ts";
import type { PlanOptions } from "../plan/plan.ts";
import { differenceLines } from "../plan/plan-words.ts";
import { lastDeployment } from "./live/last-deployment.ts";

/** Logs the difference with `component`, whose output `conf` held the last twine.conf. */
export function logDifference(
  component: pulumi.Resource,
  now: PlannedCluster,
  options: PlanOptions,
): void {
  component.urn.apply(async (urn) => {
    const conf = (await lastDeployment()).conf(urn);
    const lines = conf === undefined ? [] : linesSince(conf, now, options);
    if (lines.length > 0) await pulumi.log.info(lines.join("\n"), component);
  });
}

/** The changes since `conf`, the text of a twine.conf; empty when it can't be parsed. */
export function linesSince(conf: string, now: PlannedCluster, options: PlanOptions): string[] {
  const parsed = parseConf(conf, "twine.conf");
  if (parsed.config === undefined) return [];
  const { config } = completeConfig(parsed.config);
  return differenceLines(diffPlans({ config, plan: planCluster(config, options) }, now));
}
