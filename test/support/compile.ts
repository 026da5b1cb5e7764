// compile.ts: before e2e tests, compiles what they run, so that no test ever runs yesterday's output.
import { execFileSync } from "node:child_process";
import { ROOT } from "./source-files.ts";

export function setup(): void {
  execFileSync(process.execPath, ["scripts/build.ts"], { cwd: ROOT, stdio: "inherit" });
}
