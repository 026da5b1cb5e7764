// run-tool.ts: commands and Twine's tools as processes of their own, run to their end.
import { spawn } from "node:child_process";
import { binPath } from "./bins.ts";

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end; never throws for its exit code. */
export function runCommand(
  command: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly input?: string; readonly env?: NodeJS.ProcessEnv },
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, NO_COLOR: "1", ...options.env },
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    child.on("error", reject);
    child.on("close", (code) => {
      resolve({ code, stdout, stderr });
    });
    // Who needs no input may have ended already: a broken pipe is no failure.
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.input ?? "");
  });
}

export interface ToolRan {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** One of Twine's tools from the sources, on a twine.conf. */
export async function runTool(
  room: "runtime" | "infra",
  bin: string,
  confFile: string,
  ...args: readonly string[]
): Promise<ToolRan> {
  const command = [binPath(bin, room), ...args, "--conf", confFile];
  const { code, stdout, stderr } = await runCommand(process.execPath, command, {});
  return { code, out: stdout, err: stderr };
}
