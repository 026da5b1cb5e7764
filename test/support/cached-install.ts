// cached-install.ts: what tests need of PyPI or npm, in folders under .cache of the checkout, installed when it is not there
// yet. Where that can't be, its tests are skipped by name, and fail where skips are forbidden.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { findProgram } from "./programs.ts";
import { ROOT } from "./source-files.ts";

const WITHIN_MS = 180_000;

/** The folder .cache/NAME, which `fill` fills when it is not there yet; undefined when that fails. */
export function cachedFolder(name: string, fill: (folder: string) => void): string | undefined {
  const place = join(ROOT, ".cache", name);
  if (existsSync(place)) return place;
  // It takes its name only when it is whole: what a killed run left behind is never used.
  const half = `${place}.${process.pid}`;
  mkdirSync(dirname(half), { recursive: true });
  try {
    fill(half);
    // Another test file may have been faster.
    if (!existsSync(place)) renameSync(half, place);
    return place;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    if (process.env["TWINE_TEST_STRICT"] === "1") {
      throw new Error(`TWINE_TEST_STRICT forbids skips, and ${name} can't be installed: ${why}`, {
        cause: error,
      });
    }
    process.stderr.write(`skipped: needs ${name}: ${why}\n`);
    return undefined;
  } finally {
    rmSync(half, { recursive: true, force: true });
  }
}

/** A virtual environment of Python in `folder`. Debian keeps what it needs in a package of its own. */
export function makeEnvironment(folder: string): void {
  const python = findProgram("python3");
  if (python === undefined) throw new Error("there is no python3");
  try {
    run(python, "-m", "venv", folder);
  } catch (error) {
    if (process.getuid?.() !== 0 || findProgram("apt-get") === undefined) throw error;
    run("apt-get", "update", "-qq");
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", "python3-venv");
    run(python, "-m", "venv", "--clear", folder);
  }
}

export function run(command: string, ...args: string[]): void {
  execFileSync(command, args, {
    stdio: ["ignore", "ignore", "pipe"],
    timeout: WITHIN_MS,
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", PIP_DISABLE_PIP_VERSION_CHECK: "1" },
  });
}
