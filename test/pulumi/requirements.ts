// requirements.ts: what the Pulumi tests need: Linux, root that may make namespaces, Docker's engine, Go for the Pulumi CLI.
import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { findProgram } from "../support/programs.ts";

const PROGRAMS = ["dockerd", "docker", "containerd", "iptables", "ip", "nsenter", "unshare", "go"];

/** Why the Pulumi tests can't run here; undefined when they can. */
export function whyNotPulumi(): string | undefined {
  if (process.platform !== "linux") return "they run Docker engines in Linux namespaces";
  const missing = [...PROGRAMS, "redis-server"].filter((name) => findProgram(name) === undefined);
  if (missing.length > 0) return `these programs are missing: ${missing.join(", ")}`;
  if (process.getuid?.() !== 0) return "Docker engines in namespaces of their own need root";
  // In a container without CAP_SYS_ADMIN, or where namespaces are switched off.
  const made = spawnSync("unshare", ["--net", "--mount", "true"], { encoding: "utf8" });
  if (made.status !== 0) return `no namespaces can be made here: ${made.stderr.trim()}`;
  try {
    accessSync("/sys/fs/cgroup", constants.W_OK);
  } catch {
    return "Docker's engine can't limit containers here: /sys/fs/cgroup is read-only";
  }
  return undefined;
}

/** For describe.skipIf; throws where skips are forbidden. */
export function isMissingForPulumi(): boolean {
  const why = whyNotPulumi();
  if (why === undefined) return false;
  if (process.env["TWINE_TEST_STRICT"] === "1") {
    throw new Error(`TWINE_TEST_STRICT forbids skips, and the Pulumi tests can't run: ${why}`);
  }
  process.stderr.write(`skipped: the Pulumi tests, ${why}\n`);
  return true;
}
