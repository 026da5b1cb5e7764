// index.ts: the Pulumi program: reads its configuration and the cluster's file, and makes the cluster of it.
// What there is follows from twine.conf (infra/plan), how it becomes containers is in infra/docker.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { TwineCluster } from "./docker/cluster.ts";
import { readSettings, secretsInClear } from "./docker/read-settings.ts";
import { refusal } from "./docker/refuse.ts";
import { errorText } from "../runtime/core/error-text.ts";

// Pulumi runs the program in the folder of this file; paths count from the folder of Pulumi.yaml.
const confFile = resolve(
  import.meta.dirname,
  "..",
  new pulumi.Config("twine").get("conf") ?? "twine.conf",
);
const conf = read(
  confFile,
  "name a file, relative to the folder of Pulumi.yaml; for example: pulumi config set twine:conf examples/three-hosts.conf",
);
const config = pulumi.runtime.allConfig();
for (const key of secretsInClear(config, process.env["PULUMI_CONFIG_SECRET_KEYS"])) {
  const remedy = `pulumi config set --secret ${key} 'the-same-again'`;
  void pulumi.log.warn(
    `${key} can be read in Pulumi.${pulumi.getStack()}.yaml\n  remedy: ${remedy}`,
  );
}
const cluster = new TwineCluster(pulumi.getStack(), {
  ...readSettings(config),
  conf,
  confFile,
});

export const routerUrls = cluster.routerUrls;
export const monitorUrls = cluster.monitorUrls;
export const nodes = cluster.nodes;
export const confHash = cluster.confHash;
export const keptVolumes = cluster.keptVolumes;
// "conf" is this program's own file.
export const runningConf = cluster.conf;
export const connection = cluster.connection;

function read(file: string, remedy: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    const why = errorText(cause);
    const problem = { code: "CONF_MISSING", message: `twine:conf: ${why}`, remedy };
    throw refusal([problem], cause);
  }
}
