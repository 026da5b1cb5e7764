// steps.ts: runs the tools of this checkout, several at once, and shows what each said when it has ended.
import { spawn } from "node:child_process";
import { join, resolve } from "node:path";

export const ROOT = resolve(import.meta.dirname, "..");

export type Step = readonly [tool: string, ...args: string[]];

/** What every check begins with. oxlint finds what tsc finds too: it asks the same compiler, once for rules and types. */
export const STATIC_STEPS: readonly Step[] = [
  ["oxlint", "--type-aware", "--type-check", "."],
  // It takes as long as the compiler: files that have not changed are not looked at again.
  [
    "prettier",
    "--check",
    ...["--cache", "--cache-strategy", "content", "--cache-location", ".cache/prettier"],
    ...["--log-level", "warn"],
    ".",
  ],
];

function runStep([tool, ...args]: Step): Promise<boolean> {
  return new Promise((done, fail) => {
    const child = spawn(join(ROOT, "node_modules/.bin", tool), args, {
      cwd: ROOT,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.on("error", fail);
    child.on("close", (code) => {
      process.stdout.write(`\n> ${tool} ${args.join(" ")}\n${Buffer.concat(chunks).toString()}`);
      done(code === 0);
    });
  });
}

/** Sequences side by side, the steps of a sequence one after the other; all of them, whatever fails. Answers in order. */
export async function runSequences(sequences: readonly (readonly Step[])[]): Promise<boolean[]> {
  const outcomes = sequences.map(async (sequence) => {
    const passed: boolean[] = [];
    for (const step of sequence) passed.push(await runStep(step));
    return passed;
  });
  return (await Promise.all(outcomes)).flat();
}
