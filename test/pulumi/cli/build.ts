// build.ts: `node test/pulumi/cli/build.ts` builds the Pulumi CLI for the tests when this machine has none yet, as CI does
// before the tests so that they start at once. Says so and ends well where the Pulumi tests can't run.
import { whyNotPulumi } from "../requirements.ts";
import { ensurePulumi } from "./pulumi-cli.ts";

const why = whyNotPulumi();
const outcome = why === undefined ? await ensurePulumi() : `not built: ${why}`;
process.stdout.write(`pulumi for the tests: ${outcome}\n`);
