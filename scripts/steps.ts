// steps.ts: runs the tools of this checkout, several at once, and shows what each said when it has ended.
import { spawn } from "node:child_process";
import { join, resolve } from "node:path";

export const ROOT = resolve(import.meta.dirname, "..");

export type Step = readonly [tool: string, ...args: string[]];

/** What every check begins with; the types are short, so that the unit tests can follow them (check.ts). */
export const STATIC_LANES: readonly (readonly Step[])[] = [
  // Without --cache: a rule that asks for types also changes its mind when another file does.
  [
    ["eslint", "."],
    ["prettier", "--check", "--log-level", "warn", "."],
  ],
  [["tsc", "-p", "tsconfig.json"]],
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

/** Lanes side by side, the steps of a lane one after the other; all of them, whatever fails. Answers in order. */
export async function runLanes(lanes: readonly (readonly Step[])[]): Promise<boolean[]> {
  const outcomes = lanes.map(async (lane) => {
    const passed: boolean[] = [];
    for (const step of lane) passed.push(await runStep(step));
    return passed;
  });
  return (await Promise.all(outcomes)).flat();
}
