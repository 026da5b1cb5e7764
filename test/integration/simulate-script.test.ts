// simulate-script.test.ts: `npm run simulate` as a person calls it.
import { join } from "node:path";
import { expect, test } from "vitest";
import { runCommand, type Ran } from "../support/run-tool.ts";
import { ROOT } from "../support/source-files.ts";

const simulate = (...args: string[]): Promise<Ran> =>
  runCommand(process.execPath, [join(ROOT, "scripts/simulate.ts"), ...args], { cwd: ROOT });

test("seeds that are none are wrong usage, said in one sentence with a remedy, and nothing is played", async () => {
  const wrong: [string[], RegExp][] = [
    [["--seeds", "10..1"], /--seeds 10\.\.1: 10 is above 1\n {2}remedy: write --seeds 1\.\.10/],
    [["--seeds", "1...3"], /--seeds 1\.\.\.3: "\.3" is no seed/],
    [["--seeds", "1..2..3"], /--seeds 1\.\.2\.\.3: that is no row of seeds/],
    [["--seeds", "5"], /--seeds 5: "" is no seed/],
    [["--seed", "abc"], /--seed abc: "abc" is no seed\n {2}remedy: a seed is a whole number/],
    [["--seed", "99999999999999999999"], /"99999999999999999999" is no seed/],
    [["--seed"], /option '--seed <n>' argument missing/],
    [["--seed", "1", "--seeds", "1..2"], /--seed and --seeds can't both be given/],
    [["7"], /too many arguments/],
    [["--sed", "7"], /unknown option '--sed'/],
  ];
  for (const [args, said] of wrong) {
    const { code, stdout, stderr } = await simulate(...args);
    expect(stderr, args.join(" ")).toMatch(said);
    expect(stderr, args.join(" ")).not.toMatch(/^ {4}at /m);
    expect(stdout, args.join(" ")).toBe("");
    expect(code, args.join(" ")).toBe(2);
  }
});

test("--help ends with examples and exit codes", async () => {
  const { code, stdout } = await simulate("--help");
  expect(stdout).toMatch(
    /\$ npm run simulate -- --seeds 1\.\.1000\n[^]*Exit codes:[^]*2 {2}wrong usage/,
  );
  expect(code).toBe(0);
});

test("a row of seeds is played from its first to its last, one line of JSON each", async () => {
  const { code, stdout } = await simulate("--seeds", "3..4", "--json");
  const lines = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as unknown);
  expect(lines).toMatchObject([
    { seed: 3, violations: [] },
    { seed: 4, violations: [] },
  ]);
  expect(code).toBe(0);
});
