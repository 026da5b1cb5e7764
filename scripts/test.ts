// test.ts: everything that must pass, with one closing line: `N passed, N failed, N skipped`.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ROOT, runLanes, STATIC_LANES } from "./steps.ts";

interface Summary {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly success: boolean;
}

const report = join(ROOT, ".cache/test-report.json");
const isStrict = process.env["TWINE_TEST_STRICT"] === "1";

function run(command: string, ...args: string[]): boolean {
  process.stdout.write(`\n> ${command} ${args.join(" ")}\n`);
  const result = spawnSync(join(ROOT, "node_modules/.bin", command), args, {
    cwd: ROOT,
    stdio: ["ignore", "inherit", "inherit"],
  });
  return result.status === 0;
}

function summary(): Summary {
  try {
    return JSON.parse(readFileSync(report, "utf8")) as Summary;
  } catch {
    // No report means that the run itself broke: that is one failure, never none.
    return { numPassedTests: 0, numFailedTests: 1, numPendingTests: 0, success: false };
  }
}

mkdirSync(join(ROOT, ".cache"), { recursive: true });
rmSync(report, { force: true });
const steps = await runLanes(STATIC_LANES);
const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
// The project pulumi builds Pulumi's command line first and drives Docker engines: `npm run test:pulumi`.
const projects = ["unit", "integration", "e2e"].flatMap((name) => ["--project", name]);
const ran = run("vitest", "run", ...projects, ...reporters);
const tests = summary();
const brokenSteps = steps.filter((passed) => !passed).length;
const failed = tests.numFailedTests + brokenSteps;
const skipped = tests.numPendingTests;
const isWell = ran && tests.success && failed === 0 && !(isStrict && skipped > 0);
process.exitCode = isWell ? 0 : 1;
const passed = tests.numPassedTests + steps.length - brokenSteps;
process.stdout.write(
  `\n${passed} passed, ${isWell ? 0 : Math.max(failed, 1)} failed, ${skipped} skipped\n`,
);
