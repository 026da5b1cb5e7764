// simulate.ts: `npm run simulate -- --seed N`: one seed of the simulation with its whole trace, or many without.
//   --seed N          one seed; its trace, and what it breaks
//   --seeds FROM..TO  many; only those that break something, and a closing line
//   --json            a line of JSON for each seed instead
import { parseArgs } from "node:util";
import { simulate, type Outcome } from "../test/simulation/simulate.ts";

interface Wanted {
  readonly from: number;
  readonly to: number;
  readonly isJson: boolean;
}

function wanted(): Wanted {
  const { values } = parseArgs({
    options: { seed: { type: "string" }, seeds: { type: "string" }, json: { type: "boolean" } },
  });
  const range = values.seeds ?? `${values.seed ?? "1"}..${values.seed ?? "1"}`;
  const found = /^(\d+)\.\.(\d+)$/.exec(range);
  if (found === null) throw new Error(`--seed N or --seeds FROM..TO, not ${range}`);
  return { from: Number(found[1]), to: Number(found[2]), isJson: values.json === true };
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

async function run(): Promise<void> {
  const range = wanted();
  let failed = 0;
  let simulatedMs = 0;
  for (let seed = range.from; seed <= range.to; seed++) {
    const outcome = await simulate({ seed });
    simulatedMs += outcome.simulatedMs;
    if (outcome.violations.length > 0) failed += 1;
    tell(outcome, range);
  }
  process.exitCode = failed > 0 ? 1 : 0;
  if (range.isJson) return;
  const count = range.to - range.from + 1;
  const seconds = Math.round(simulatedMs / 1000);
  process.stdout.write(`${count} seeds, ${failed} failed, ${seconds} simulated seconds\n`);
}

await run();
