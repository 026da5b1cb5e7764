// pulumi-cli.ts: the real Pulumi engine, built from source as a Go tool dependency and kept between runs.
//
//   go.mod beside this file -> ~/.cache/twine/pulumi-VERSION/bin/pulumi       (6 minutes on two cores, once)
//
// Why built: the release archives come from Pulumi's own servers, which a test must not need; the Go module proxy and
// its checksum database serve the same source. The version is that of go.mod: the newest of the SDK's line that the
// proxy hands out.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { startTimeOf } from "../../../infra/local/processes/processes.ts";
import { findProgram } from "../../support/programs.ts";
import { until } from "../../support/redis-server.ts";

const MODULE = "github.com/pulumi/pulumi/pkg/v3";
const VERSION_SYMBOL = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version";
const BUILD_WITHIN_MS = 30 * 60_000;

export function pulumiVersion(): string {
  const goMod = readFileSync(join(import.meta.dirname, "go.mod"), "utf8");
  const version = new RegExp(`${MODULE} v([0-9.]+)`).exec(goMod)?.[1];
  if (version === undefined)
    throw new Error(`test/pulumi/cli/go.mod names no version of ${MODULE}`);
  return version;
}

/** The folder that holds bin/pulumi, as the Automation API takes it. */
export function pulumiRoot(): string {
  const cache = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
  return join(cache, "twine", `pulumi-${pulumiVersion()}`);
}

/** Builds the CLI unless an earlier run did; two runs at once don't build it twice. */
export async function ensurePulumi(): Promise<string> {
  const program = join(pulumiRoot(), "bin/pulumi");
  const lock = join(pulumiRoot(), "building");
  mkdirSync(join(pulumiRoot(), "bin"), { recursive: true });
  const what = `another run builds ${program} (if none does, remove ${lock})`;
  await until(what, async () => existsSync(program) || takeLock(lock), BUILD_WITHIN_MS);
  if (existsSync(program)) return program;
  try {
    build(program);
  } finally {
    rmSync(lock, { force: true });
  }
  return program;
}

/** The lock names its owner, so that the lock of a run that was killed holds nobody back. */
async function takeLock(lock: string): Promise<boolean> {
  try {
    const self = `${process.pid} ${(await startTimeOf(process.pid)) ?? ""}`;
    writeFileSync(lock, self, { flag: "wx" });
    return true;
  } catch {
    const [, pid = "", startTime = ""] = /^(\d+) (.*)$/.exec(readText(lock)) ?? [];
    if (pid !== "" && (await startTimeOf(Number(pid))) !== startTime) rmSync(lock, { force: true });
    return false;
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    // Its owner has just removed it.
    return "";
  }
}

function build(program: string): void {
  process.stderr.write(`building Pulumi ${pulumiVersion()}: some minutes, once per machine\n`);
  const flags = `-s -w -X ${VERSION_SYMBOL}=v${pulumiVersion()}`;
  const unfinished = `${program}.unfinished`;
  const args = ["build", "-trimpath", "-ldflags", flags, "-o", unfinished, `${MODULE}/cmd/pulumi`];
  // With the lowest priority: the other tests go on beside it.
  execFileSync("nice", ["-n", "19", findProgram("go") ?? "go", ...args], {
    cwd: import.meta.dirname,
    stdio: ["ignore", "inherit", "inherit"],
  });
  renameSync(unfinished, program);
}
