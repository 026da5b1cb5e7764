// run-while-alpha.ts: a tool as a process of its own, for as long as this monitor leads: a monitor must not be slowed by what
// it starts, and another alpha starts its own.
import { spawn } from "node:child_process";
import type { Clock } from "../ports/clock.ts";

export interface AlphaPorts {
  readonly clock: Clock;
  isAlpha(): boolean;
  /** `output` is what the tool printed. */
  onTaken(output: string): void;
  onFailed(why: string): void;
}

const LEAD_LOOK_MS = 500;
const OUTPUT_CHARS_MAX = 4000;

/** lead-lost: this monitor is no longer the alpha, so the tool was ended. That says nothing of backups, so it is no failure. */
export type Ran =
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly why: string }
  | { readonly kind: "lead-lost" };

/** Ended by SIGTERM when the lead is lost or `signal` aborts. */
export async function runWhileAlpha(
  options: AlphaPorts,
  command: readonly [string, ...string[]],
  signal: AbortSignal,
): Promise<Ran> {
  const [program, ...args] = command;
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  const end = (): void => void child.kill("SIGTERM");
  signal.addEventListener("abort", end);
  let [isOver, isLeadLost] = [false, false];
  const watch = (): void => {
    if (isOver) return;
    if (!options.isAlpha()) {
      isLeadLost = true;
      end();
    }
    options.clock.after(LEAD_LOOK_MS, watch);
  };
  watch();
  let [out, err] = ["", ""];
  child.stdout.on(
    "data",
    (data: Buffer) => (out = (out + data.toString()).slice(-OUTPUT_CHARS_MAX)),
  );
  child.stderr.on(
    "data",
    (data: Buffer) => (err = (err + data.toString()).slice(-OUTPUT_CHARS_MAX)),
  );
  const code = await new Promise<number | null>((resolve) => {
    child.once("error", (error) => {
      err += error.message;
      resolve(null);
    });
    child.once("close", resolve);
  });
  isOver = true;
  signal.removeEventListener("abort", end);
  if (code === 0) {
    options.onTaken(out.trim());
    return { kind: "done" };
  }
  // A tool that is ended while it starts prints nothing.
  const why = isLeadLost
    ? "it was ended, because this monitor is no longer the alpha"
    : `${err.trim()} (exit code ${String(code)})`;
  if (!signal.aborted) options.onFailed(why);
  return isLeadLost ? { kind: "lead-lost" } : { kind: "failed", why };
}
