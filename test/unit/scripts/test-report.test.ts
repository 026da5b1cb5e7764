import { expect, test } from "vitest";
import { failuresOf, failureText, type RunReport } from "../../../scripts/test-report.ts";

const REPORT: RunReport = {
  numPassedTests: 1,
  numFailedTests: 1,
  numPendingTests: 0,
  success: false,
  testResults: [
    {
      name: "/root/test/a.test.ts",
      status: "failed",
      message: "",
      assertionResults: [
        { fullName: "a works", status: "passed", failureMessages: [] },
        {
          fullName: "a fails",
          status: "failed",
          failureMessages: [
            "Error: no\n\n  one\n  at /root/node_modules/x.js:1\n  at /root/test/a.test.ts:2:3",
          ],
        },
      ],
    },
    { name: "/root/test/b.test.ts", status: "failed", message: "no module", assertionResults: [] },
    {
      name: "/root/test/c.test.ts",
      status: "passed",
      assertionResults: [{ fullName: "c works", status: "passed" }],
    },
  ],
};

test("failed tests are listed, and files that could not be run", () => {
  expect(failuresOf(REPORT).map(({ file, test: name }) => [file, name])).toEqual([
    ["/root/test/a.test.ts", "a fails"],
    ["/root/test/b.test.ts", undefined],
  ]);
});

test("a failure is shown with its file, its name and the first line of its message, and where in the tests", () => {
  const shown = failuresOf(REPORT).map((failure) => failureText(failure, "/root"));
  expect(shown).toEqual([
    "FAILED test/a.test.ts > a fails\n    Error: no\n    at test/a.test.ts:2:3\n",
    "FAILED test/b.test.ts\n    no module\n",
  ]);
});
