// index.ts: the Pulumi program: reads the cluster's file, plans it, exports what the plan says.
// The resources that carry the plan out on Docker hosts join here from infra/docker (issue 4).
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { completeConfig } from "../runtime/core/conf/complete.ts";
import { parseConf } from "../runtime/core/conf/parse.ts";
import { TwineError, formatProblem } from "../runtime/core/errors.ts";
import { planCluster } from "./plan/plan-cluster.ts";

const settings = new pulumi.Config("twine");
const file = resolve(settings.get("conf") ?? "twine.conf");
const parsed = parseConf(readFileSync(file, "utf8"), file);
if (parsed.config === undefined) throw new TwineError(parsed.errors);
const completed = completeConfig(parsed.config);
const plan = planCluster(completed.config, { confPath: file, hasPassword: false });

for (const warning of [...parsed.warnings, ...completed.warnings, ...plan.warnings]) {
  await pulumi.log.warn(formatProblem(warning));
}

export const confHash = plan.confDigest;
export const nodes = completed.config.nodes.map(({ name, kind, host, port }) => ({
  name,
  kind,
  host,
  port,
}));
