// test-report.ts: what one run of vitest says of itself, from its JSON report.

interface TestOfFile {
  readonly fullName: string;
  readonly status: string;
  readonly failureMessages?: readonly string[] | null;
}

interface FileOfRun {
  readonly name: string;
  readonly status: string;
  /** Why the file itself could not be run. */
  readonly message?: string;
  readonly assertionResults: readonly TestOfFile[];
}

export interface RunReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly success: boolean;
  readonly testResults: readonly FileOfRun[];
}

export interface Failure {
  /** The absolute path of the test file. */
  readonly file: string;
  /** The test's whole name; undefined where the file itself failed. */
  readonly test: string | undefined;
  readonly message: string;
}

const SHOWN_COLUMNS = 300;

/** Every failed test, and every file that failed outside of its tests (its set-up, its imports). */
export function failuresOf(report: RunReport): Failure[] {
  return report.testResults.flatMap((file): Failure[] => {
    const tests = file.assertionResults.filter(({ status }) => status === "failed");
    if (tests.length === 0 && file.status !== "failed") return [];
    if (tests.length === 0)
      return [{ file: file.name, test: undefined, message: file.message ?? "" }];
    return tests.map(({ fullName, failureMessages }) => ({
      file: file.name,
      test: fullName,
      message: failureMessages?.[0] ?? "",
    }));
  });
}

/**
 * What failed, the first line of why, and where in the tests: few lines for each, because whoever sees only the end of a long
 * output is to see all failures.
 */
export function failureText(failure: Failure, root: string): string {
  const file = failure.file.startsWith(`${root}/`)
    ? failure.file.slice(root.length + 1)
    : failure.file;
  const lines = failure.message.split("\n").map((line) => line.trim());
  const why = lines.find((line) => line !== "");
  const where = lines.find((line) => line.startsWith("at ") && line.includes("/test/"));
  const message = [why, where]
    .filter((line) => line !== undefined)
    .map((line) => `    ${line.replaceAll(`${root}/`, "").slice(0, SHOWN_COLUMNS)}\n`);
  const test = failure.test === undefined ? "" : ` > ${failure.test}`;
  return `FAILED ${file}${test}\n${message.join("")}`;
}
