// A tool as a process of its own: how it ended.
import { expect, test } from "vitest";
import { runWhileAlpha, type Ran } from "../../../runtime/backup/run-while-alpha.ts";
import { systemClock } from "../../../runtime/ports/clock.ts";

async function ran(script: string, isAlpha: () => boolean): Promise<[Ran, string[], string[]]> {
  const [taken, failed]: [string[], string[]] = [[], []];
  const options = {
    ...{ clock: systemClock, isAlpha },
    onTaken: (output: string) => void taken.push(output),
    onFailed: (why: string) => void failed.push(why),
  };
  const command = [process.execPath, "-e", script] as const;
  return [await runWhileAlpha(options, command, new AbortController().signal), taken, failed];
}

test("what it printed is passed on, or why it failed", async () => {
  const done = await ran("console.log('saved')", () => true);
  expect(done).toEqual([{ kind: "done" }, ["saved"], []]);
  const why = "no space (exit code 3)";
  const failed = await ran("console.error('no space'); process.exit(3)", () => true);
  expect(failed).toEqual([{ kind: "failed", why }, [], [why]]);
});

test("it is ended when the lead is lost, which is no failure of the tool, and the reason is given", async () => {
  expect(await ran("setInterval(() => undefined, 1000)", () => false)).toEqual([
    { kind: "lead-lost" },
    [],
    ["it was ended, because this monitor is no longer the alpha"],
  ]);
});
