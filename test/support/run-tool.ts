// run-tool.ts: one of Twine's tools as a process of its own, run on a twine.conf to its end.
import { spawn } from "node:child_process";
import { binPath } from "../../runtime/cli/package-root.ts";

export interface ToolRan {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export function runTool(
  room: "runtime" | "infra",
  bin: string,
  confFile: string,
  ...args: readonly string[]
): Promise<ToolRan> {
  const child = spawn(process.execPath, [binPath(bin, room), ...args, "--conf", confFile]);
  let out = "";
  let err = "";
  child.stdout.on("data", (data: Buffer) => (out += data.toString()));
  child.stderr.on("data", (data: Buffer) => (err += data.toString()));
  return new Promise((resolve) =>
    child.once("close", (code) => {
      resolve({ code, out, err });
    }),
  );
}
