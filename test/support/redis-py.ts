// redis-py.ts: Python's Redis client as its users have it, in a virtual environment under .cache, installed by pip when
// it is not there yet. Where that can't be, its tests are skipped by name, and fail where skips are forbidden.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "./programs.ts";
import { ROOT } from "./source-files.ts";

const VERSION = "8.1.0";
const PLACE = join(ROOT, `.cache/redis-py-${VERSION}`);
const WITHIN_MS = 180_000;

/** The Python that can import redis, or undefined when it can't be had here. */
export function pythonWithRedis(): string | undefined {
  const python = join(PLACE, "bin/python");
  if (existsSync(python)) return python;
  try {
    install();
    return python;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    if (process.env["TWINE_TEST_STRICT"] === "1") {
      throw new Error(`TWINE_TEST_STRICT forbids skips, and redis-py can't be installed: ${why}`, {
        cause: error,
      });
    }
    process.stderr.write(`skipped: needs redis-py ${VERSION}: ${why}\n`);
    return undefined;
  }
}

/** Takes its name only when it is whole: what a killed run left behind is never used. */
function install(): void {
  const python = findProgram("python3");
  if (python === undefined) throw new Error("there is no python3");
  const half = `${PLACE}.${process.pid}`;
  mkdirSync(join(ROOT, ".cache"), { recursive: true });
  try {
    makeEnvironment(python, half);
    run(join(half, "bin/python"), "-m", "pip", "install", "-q", `redis==${VERSION}`);
    // Another test file may have been faster.
    if (!existsSync(PLACE)) renameSync(half, PLACE);
  } finally {
    rmSync(half, { recursive: true, force: true });
  }
}

/** Debian keeps what a virtual environment needs in a package of its own. */
function makeEnvironment(python: string, folder: string): void {
  try {
    run(python, "-m", "venv", folder);
  } catch (error) {
    if (process.getuid?.() !== 0 || findProgram("apt-get") === undefined) throw error;
    run("apt-get", "update", "-qq");
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", "python3-venv");
    run(python, "-m", "venv", "--clear", folder);
  }
}

function run(command: string, ...args: string[]): void {
  execFileSync(command, args, {
    stdio: ["ignore", "ignore", "pipe"],
    timeout: WITHIN_MS,
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", PIP_DISABLE_PIP_VERSION_CHECK: "1" },
  });
}
