// set-up.ts: before the Pulumi tests: the Pulumi CLI, built once per machine where they can run at all.
import { ensurePulumi } from "./cli/pulumi-cli.ts";
import { whyNotPulumi } from "./requirements.ts";

export async function setup(): Promise<void> {
  if (whyNotPulumi() === undefined) await ensurePulumi();
}
