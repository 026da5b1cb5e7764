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

const SHOWN_LINES = 4;
const SHOWN_COLUMNS = 240;

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

/** Some lines for each failure: whoever sees only the end of a long output reads there what failed. */
export function failureText(failure: Failure, root: string): string {
  const file = failure.file.startsWith(`${root}/`)
    ? failure.file.slice(root.length + 1)
    : failure.file;
  const message = failure.message
    .split("\n")
    .filter((line) => line.trim() !== "")
    .slice(0, SHOWN_LINES)
    .map((line) => `    ${line.trim().slice(0, SHOWN_COLUMNS)}\n`);
  const test = failure.test === undefined ? "" : ` > ${failure.test}`;
  return `FAILED ${file}${test}\n${message.join("")}`;
}
