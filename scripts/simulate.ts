// simulate.ts: `npm run simulate -- --seed N`: one seed of the simulation with its whole trace, or many without.
import { Command } from "commander";
import { runTool } from "../runtime/cli/tool.ts";
import { EXIT, TwineError } from "../runtime/core/errors.ts";
import type { Outcome } from "../test/simulation/simulate.ts";

interface Wanted {
  readonly from: number;
  readonly to: number;
  readonly isJson: boolean;
  /** Whose hunt's scenario is played, instead of what each seed draws. */
  readonly hunted: string | undefined;
  readonly isBroken: boolean;
}

interface SimulateOptions {
  readonly mistake?: string;
  readonly unbroken?: boolean;
  readonly seed?: string;
  readonly seeds?: string;
  readonly json?: boolean;
}

const HELP = `
Examples:
  $ npm run simulate -- --seed 7
  $ npm run simulate -- --seeds 1..1000
  $ npm run simulate -- --mistake drain-off --seeds 1..100
  $ npm run --silent simulate -- --seeds 1..1000 --json | jq -r 'select(.violations != []).seed'

Exit codes:
    0  nothing was broken
    1  a seed broke something
    2  wrong usage`;

/** Throws what commander says, and SEEDS_BAD. */
function wanted(): Wanted {
  const program = new Command("simulate")
    .description(
      "Plays seeds of the simulation: a cluster, faults, and what must hold all the while.",
    )
    .option("--seed <n>", "one seed (default 1), with its trace and what it breaks")
    .option("--seeds <from..to>", "many, both ends among them; only those that break something")
    .option("--mistake <name>", "break that rule, in the scenario in which it is hunted")
    .option("--unbroken", "that scenario without the mistake")
    .option("--json", "a line of JSON for each seed instead")
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ outputError: () => undefined })
    .addHelpText("after", HELP);
  program.parse();
  const { seed, seeds, json, mistake: hunted, unbroken } = program.opts<SimulateOptions>();
  if (seed !== undefined && seeds !== undefined) {
    throw seedsBad("--seed and --seeds can't both be given", "name one seed, or a row of them");
  }
  const how = { isJson: json === true, hunted, isBroken: unbroken !== true };
  if (seeds === undefined) {
    const only = seedFrom(seed ?? "1", `--seed ${seed ?? ""}`);
    return { from: only, to: only, ...how };
  }
  const said = `--seeds ${seeds}`;
  const [first = "", last = "", ...more] = seeds.split("..");
  if (more.length > 0) throw seedsBad(`${said}: that is no row of seeds`, "for example 1..100");
  const [from, to] = [seedFrom(first, said), seedFrom(last, said)];
  if (from > to) throw seedsBad(`${said}: ${from} is above ${to}`, `write --seeds ${to}..${from}`);
  return { from, to, ...how };
}

function seedFrom(text: string, said: string): number {
  const seed = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(seed)) return seed;
  const remedy = "a seed is a whole number, 0 or above: --seed 7, --seeds 1..100";
  throw seedsBad(`${said}: "${text}" is no seed`, remedy);
}

function seedsBad(message: string, remedy: string): TwineError {
  return new TwineError({ code: "SEEDS_BAD", message, remedy }, { exitCode: EXIT.usage });
}

function tell(outcome: Outcome, { from, to, isJson }: Wanted): void {
  const { seed, violations, trace, traceHash, epochs, acknowledged, simulatedMs } = outcome;
  if (isJson) {
    const ms = Math.round(simulatedMs);
    const line = { seed, violations, traceHash, epochs, acknowledged, simulatedMs: ms };
    process.stdout.write(`${JSON.stringify(line)}\n`);
    return;
  }
  if (from === to) process.stdout.write(`${trace.join("\n")}\ntrace ${traceHash}\n`);
  for (const text of violations) process.stdout.write(`seed ${seed}: ${text}\n`);
}

/** Throws MISTAKE_UNKNOWN. */
async function scenarioOf({ hunted, isBroken }: Wanted) {
  if (hunted === undefined) return {};
  const { HUNTS } = await import("../test/simulation/hunts.ts");
  const mistake = Object.keys(HUNTS).find((name): name is keyof typeof HUNTS => name === hunted);
  if (mistake === undefined) {
    const message = `--mistake ${hunted}: no such mistake`;
    const remedy = `it is one of ${Object.keys(HUNTS).join(", ")}`;
    throw new TwineError({ code: "MISTAKE_UNKNOWN", message, remedy }, { exitCode: EXIT.usage });
  }
  const { scenario } = HUNTS[mistake];
  return isBroken ? { scenario, mistake } : { scenario };
}

async function run(): Promise<number> {
  const range = wanted();
  // Only whoever plays seeds loads what plays them.
  const { simulate } = await import("../test/simulation/simulate.ts");
  const how = await scenarioOf(range);
  let failed = 0;
  let simulatedMs = 0;
  for (let seed = range.from; seed <= range.to; seed++) {
    const outcome = await simulate({ seed, ...how });
    simulatedMs += outcome.simulatedMs;
    if (outcome.violations.length > 0) failed += 1;
    tell(outcome, range);
  }
  if (!range.isJson) {
    const count = range.to - range.from + 1;
    const seconds = Math.round(simulatedMs / 1000);
    process.stdout.write(`${count} seeds, ${failed} failed, ${seconds} simulated seconds\n`);
  }
  return failed > 0 ? EXIT.failure : EXIT.ok;
}

await runTool(run);
