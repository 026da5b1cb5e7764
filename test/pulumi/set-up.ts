// set-up.ts: before the Pulumi tests: the Pulumi CLI, built once per machine where Go is.
import { findProgram } from "../support/programs.ts";
import { ensurePulumi } from "./cli/pulumi-cli.ts";

export async function setup(): Promise<void> {
  if (findProgram("go") !== undefined) await ensurePulumi();
}
