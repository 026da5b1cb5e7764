// install-programs.ts: before integration and e2e tests, installs the programs they run where that is allowed.
import { execFileSync } from "node:child_process";
import { findProgram } from "./programs.ts";

const PACKAGES: Readonly<Record<string, string>> = {
  "redis-server": "redis-server",
  "redis-cli": "redis-tools",
  nutcracker: "nutcracker",
  xmllint: "libxml2-utils",
  chromium: "chromium",
};

export function setup(): void {
  const missing = Object.keys(PACKAGES).filter((name) => findProgram(name) === undefined);
  const mayInstall = process.getuid?.() === 0 && findProgram("apt-get") !== undefined;
  if (missing.length === 0 || !mayInstall) return;
  const packages = missing.map((name) => PACKAGES[name] ?? name);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  execFileSync("apt-get", ["update", "-qq"], { env, stdio: "inherit" });
  const install = ["install", "-y", "-qq", "--no-install-recommends", ...packages];
  execFileSync("apt-get", install, { env, stdio: "inherit" });
}
