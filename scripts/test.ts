// test.ts: everything that must pass, with one closing line: `N passed, N failed, N skipped`.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ROOT, runSequences, STATIC_STEPS } from "./steps.ts";
import { failuresOf, failureText, type RunReport } from "./test-report.ts";

// The project pulumi comes last and alone: its Docker engines take the whole machine, and other tests would time out
// beside it.
const PARTS: readonly (readonly string[])[] = [
  ["unit", "unit-pulumi", "integration", "e2e"],
  ["pulumi"],
];
// More files than this fail by a fault of the code, not by the machine.
const MAX_REPEATED_FILES = 12;
const cache = join(ROOT, ".cache");
const isStrict = process.env["TWINE_TEST_STRICT"] === "1";
// No report means that the run itself broke: that is one failure, never none.
const BROKEN: RunReport = {
  numPassedTests: 0,
  numFailedTests: 1,
  numPendingTests: 0,
  success: false,
  testResults: [],
};

function run(command: string, ...args: string[]): boolean {
  process.stdout.write(`\n> ${command} ${args.join(" ")}\n`);
  const result = spawnSync(join(ROOT, "node_modules/.bin", command), args, {
    cwd: ROOT,
    stdio: ["ignore", "inherit", "inherit"],
  });
  return result.status === 0;
}

/** One run of vitest, and what it says of it. */
function runProjects(names: readonly string[], ...more: string[]): RunReport {
  const report = join(cache, `test-report-${names.join("-")}.json`);
  rmSync(report, { force: true });
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  const projects = names.flatMap((name) => ["--project", name]);
  const ran = run("vitest", "run", ...projects, ...reporters, ...more);
  try {
    const summary = JSON.parse(readFileSync(report, "utf8")) as RunReport;
    return { ...summary, success: ran && summary.success };
  } catch {
    return BROKEN;
  }
}

/**
 * One part, and its failed files, if few, once more with nothing beside them: some thousand tests on a busy machine of two
 * cores hardly ever all pass at once. What passes only then is named at the end of the output.
 */
function runPart(names: readonly string[]): RunReport {
  const first = runProjects(names);
  const files = [...new Set(failuresOf(first).map(({ file }) => file))];
  if (files.length === 0 || files.length > MAX_REPEATED_FILES) return first;
  const again = runProjects(names, "--no-file-parallelism", ...files);
  const before = first.testResults.filter(({ name }) => files.includes(name));
  const passedBefore = before
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ status }) => status === "passed").length;
  for (const failure of failuresOf(first)) lateLines.push(failureText(failure, ROOT));
  return {
    numPassedTests: first.numPassedTests - passedBefore + again.numPassedTests,
    numFailedTests: again.numFailedTests,
    numPendingTests: first.numPendingTests,
    success: again.success,
    testResults: again.testResults,
  };
}

const lateLines: string[] = [];
mkdirSync(cache, { recursive: true });
const steps = await runSequences([STATIC_STEPS]);
const parts = PARTS.map(runPart);
const sum = (count: (part: RunReport) => number): number =>
  parts.reduce((total, part) => total + count(part), 0);
const brokenSteps = steps.filter((passed) => !passed).length;
const failed = sum((part) => part.numFailedTests) + brokenSteps;
const skipped = sum((part) => part.numPendingTests);
const isWell = parts.every((part) => part.success) && failed === 0 && !(isStrict && skipped > 0);
process.exitCode = isWell ? 0 : 1;
const passed = sum((part) => part.numPassedTests) + steps.length - brokenSteps;
if (lateLines.length > 0)
  process.stdout.write(`\nFailed in the first run and ran again, alone:\n${lateLines.join("")}`);
const failures = parts.flatMap(failuresOf).map((failure) => failureText(failure, ROOT));
if (failures.length > 0) process.stdout.write(`\n${failures.join("")}`);
process.stdout.write(
  `\n${passed} passed, ${isWell ? 0 : Math.max(failed, 1)} failed, ${skipped} skipped\n`,
);
