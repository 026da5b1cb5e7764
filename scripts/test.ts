// test.ts: everything that must pass, with one closing line: `N passed, N failed, N skipped`.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ROOT, runSequences, STATIC_STEPS } from "./steps.ts";

interface Summary {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly success: boolean;
}

// The project pulumi comes last and alone: its Docker engines take the whole machine, and other tests would time out
// beside it.
const PARTS: readonly (readonly string[])[] = [
  ["unit", "unit-pulumi", "integration", "e2e"],
  ["pulumi"],
];
const cache = join(ROOT, ".cache");
const isStrict = process.env["TWINE_TEST_STRICT"] === "1";

function run(command: string, ...args: string[]): boolean {
  process.stdout.write(`\n> ${command} ${args.join(" ")}\n`);
  const result = spawnSync(join(ROOT, "node_modules/.bin", command), args, {
    cwd: ROOT,
    stdio: ["ignore", "inherit", "inherit"],
  });
  return result.status === 0;
}

/** One run of vitest, and what it says of it. */
function runProjects(names: readonly string[]): Summary {
  const report = join(cache, `test-report-${names.join("-")}.json`);
  rmSync(report, { force: true });
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  const projects = names.flatMap((name) => ["--project", name]);
  const ran = run("vitest", "run", ...projects, ...reporters);
  try {
    const summary = JSON.parse(readFileSync(report, "utf8")) as Summary;
    return { ...summary, success: ran && summary.success };
  } catch {
    // No report means that the run itself broke: that is one failure, never none.
    return { numPassedTests: 0, numFailedTests: 1, numPendingTests: 0, success: false };
  }
}

mkdirSync(cache, { recursive: true });
const steps = await runSequences([STATIC_STEPS]);
const parts = PARTS.map(runProjects);
const sum = (count: (part: Summary) => number): number =>
  parts.reduce((total, part) => total + count(part), 0);
const brokenSteps = steps.filter((passed) => !passed).length;
const failed = sum((part) => part.numFailedTests) + brokenSteps;
const skipped = sum((part) => part.numPendingTests);
const isWell = parts.every((part) => part.success) && failed === 0 && !(isStrict && skipped > 0);
process.exitCode = isWell ? 0 : 1;
const passed = sum((part) => part.numPassedTests) + steps.length - brokenSteps;
process.stdout.write(
  `\n${passed} passed, ${isWell ? 0 : Math.max(failed, 1)} failed, ${skipped} skipped\n`,
);
