// python-client.ts: drives test/cases/sentinel-client.py: a line in, a JSON line out.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { onTestFinished } from "vitest";
import { ROOT } from "./source-files.ts";

export interface PythonClient {
  /** What the script answered: {ok: ...} or {error: "Name: text"}. */
  ask(line: string): Promise<unknown>;
}

export function startPythonClient(python: string, ...args: string[]): PythonClient {
  const child = spawn(python, [join(ROOT, "test/cases/sentinel-client.py"), ...args], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = new Promise((resolve) => child.once("exit", resolve));
    child.stdin.end();
    await exit;
  });
  const lines = createInterface({ input: child.stdout });
  const waiting: ((answer: unknown) => void)[] = [];
  lines.on("line", (line) => waiting.shift()?.(JSON.parse(line)));
  child.once("exit", () => {
    for (const answer of waiting.splice(0)) answer({ error: "the script ended" });
  });
  return {
    ask: (line) =>
      new Promise((resolve) => {
        waiting.push(resolve);
        child.stdin.write(`${line}\n`);
      }),
  };
}
