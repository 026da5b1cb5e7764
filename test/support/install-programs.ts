// install-programs.ts: before integration, e2e and Pulumi tests, installs the programs they run where that is allowed.
import { execFileSync } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { findProgram } from "./programs.ts";

const PACKAGES: Readonly<Record<string, string>> = {
  "redis-server": "redis-server",
  "redis-cli": "redis-tools",
  nutcracker: "nutcracker",
  monit: "monit",
  promtool: "prometheus",
  xmllint: "libxml2-utils",
  chromium: "chromium",
  dockerd: "docker.io",
  iptables: "iptables",
  ip: "iproute2",
  ss: "iproute2",
  sshd: "openssh-server",
  ssh: "openssh-client",
  openssl: "openssl",
  age: "age",
};

/** Debian asks this program before it starts a service; 101 means no. */
const START_POLICY = "/usr/sbin/policy-rc.d";

export function setup(): void {
  const missing = Object.keys(PACKAGES).filter((name) => findProgram(name) === undefined);
  const mayInstall = process.getuid?.() === 0 && findProgram("apt-get") !== undefined;
  if (missing.length === 0 || !mayInstall) return;
  const packages = missing.map((name) => PACKAGES[name] ?? name);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  execFileSync("apt-get", ["update", "-qq"], { env, stdio: "inherit" });
  const install = ["install", "-y", "-qq", "--no-install-recommends", ...packages];
  // Tests start servers for themselves: a service that the package starts would take ports and, with Docker,
  // change the machine's network.
  const isOurPolicy = !existsSync(START_POLICY);
  if (isOurPolicy) writeFileSync(START_POLICY, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    execFileSync("apt-get", install, { env, stdio: "inherit" });
  } finally {
    if (isOurPolicy) rmSync(START_POLICY);
  }
}
