// install.ts: finds redis-server or valkey-server, or installs it where that is allowed.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { rm, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { TwineError } from "../../../runtime/core/errors.ts";
import { installPlan, type Extra, type InstallSteps, type Machine } from "./install-steps.ts";
import { findProgram, findRedis, redisMissing, type RedisProgram } from "./redis-program.ts";

const run = promisify(execFile);

export interface Installed {
  readonly program: RedisProgram;
  /** False: it was already installed. */
  readonly isNew: boolean;
}

/**
 * The server program of this machine; installs one when there is none. `say` is called with each step and every line of the
 * package manager. Throws REDIS_MISSING, with commands for the operator, when it may not install; INSTALL_FAILED when that
 * fails.
 */
export async function ensureRedis(say: (line: string) => void): Promise<Installed> {
  const found = await findRedis();
  if (found !== undefined) return { program: found, isNew: false };
  const plan = installPlan(await thisMachine());
  if (plan.kind === "say") {
    throw new TwineError({
      code: "REDIS_MISSING",
      message: "there is no redis-server or valkey-server, and this user may not install one",
      remedy: plan.how.join("\n    or "),
    });
  }
  await carryOut(plan.plan, say);
  const program = await findRedis();
  if (program === undefined) throw redisMissing();
  return { program, isNew: true };
}

export interface ExtraProgram {
  readonly name: Extra;
  readonly path: string;
  readonly isNew: boolean;
}

/** The same for programs that a twine.conf needs beside it. Throws PROGRAM_MISSING. `mayInstall`: false only looks. */
export async function ensureExtras(
  names: readonly Extra[],
  say: (line: string) => void,
  mayInstall = true,
): Promise<readonly ExtraProgram[]> {
  const before = await placesOf(names);
  const missing = names.filter((name) => !before.has(name));
  if (missing.length > 0) {
    const plan = installPlan(await thisMachine(), missing);
    if (plan.kind === "say") throw extrasMissing(missing, plan.how.join("\n    or "));
    if (!mayInstall) throw extrasMissing(missing, "run twine-install without --check");
    await carryOut(plan.plan, say);
  }
  const after = missing.length === 0 ? before : await placesOf(names);
  return names.map((name) => {
    const path = after.get(name);
    if (path === undefined) throw extrasMissing([name], `install ${name}`);
    return { name, path, isNew: !before.has(name) };
  });
}

async function placesOf(names: readonly Extra[]): Promise<ReadonlyMap<Extra, string>> {
  const found = await Promise.all(
    names.map(async (name) => [name, await findProgram(name, process.env["PATH"])] as const),
  );
  return new Map(found.flatMap(([name, path]) => (path === undefined ? [] : [[name, path]])));
}

function extrasMissing(names: readonly Extra[], remedy: string): TwineError {
  return new TwineError({
    code: "PROGRAM_MISSING",
    message: `twine.conf needs ${names.join(" and ")}, and this machine does not have it`,
    remedy,
  });
}

async function thisMachine(): Promise<Machine> {
  const names = ["apt-get", "dnf", "brew"];
  const path = process.env["PATH"];
  const found = await Promise.all(names.map((name) => findProgram(name, path)));
  const there = new Set(names.filter((_, index) => found[index] !== undefined));
  const isRoot = process.getuid?.() === 0;
  const hasSudo = !isRoot && (await succeeds("sudo", ["-n", "true"]));
  return { platform: process.platform, isRoot, hasSudo, has: (name) => there.has(name) };
}

async function succeeds(program: string, args: readonly string[]): Promise<boolean> {
  return run(program, args).then(
    () => true,
    () => false,
  );
}

async function carryOut(plan: InstallSteps, say: (line: string) => void): Promise<void> {
  const hasSudo = plan.steps[0]?.[0] === "sudo";
  const lift = plan.guardsServices ? await keepServicesOff(hasSudo) : undefined;
  try {
    for (const step of plan.steps) {
      say(`$ ${step.join(" ")}`);
      await runStep(step, say);
    }
  } finally {
    await lift?.();
  }
}

async function runStep(step: readonly string[], say: (line: string) => void): Promise<void> {
  const [program = "", ...args] = step;
  const child = spawn(program, args, {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      for (const line of text.split("\n")) if (line.trim() !== "") say(`  ${line.trimEnd()}`);
    });
  }
  const [code] = (await once(child, "close")) as [number | null];
  if (code === 0) return;
  throw new TwineError({
    code: "INSTALL_FAILED",
    message: `\`${step.join(" ")}\` ended with ${code === null ? "a signal" : `exit code ${code}`}`,
    remedy: "run that command by hand, correct what it reports, then run twine-install again",
  });
}

const POLICY = "/usr/sbin/policy-rc.d";

/**
 * Debian's way to install a package without starting its service: invoke-rc.d runs this script, and exit code 101 means no
 * (https://www.debian.org/doc/debian-policy/ch-opersys.html#interfacing-with-init-systems). An administrator's own script
 * is not changed. The returned function removes ours.
 */
async function keepServicesOff(withSudo: boolean): Promise<() => Promise<void>> {
  const text = "#!/bin/sh\nexit 101\n";
  if (withSudo) {
    const script = `[ ! -e ${POLICY} ] && printf '%s' "$1" > ${POLICY} && chmod 755 ${POLICY}`;
    const isOurs = await succeeds("sudo", ["-n", "sh", "-c", script, "sh", text]);
    return async () => {
      if (isOurs) await succeeds("sudo", ["-n", "rm", "-f", POLICY]);
    };
  }
  const isOurs = await writeFile(POLICY, text, { flag: "wx", mode: 0o755 }).then(
    () => true,
    () => false,
  );
  return async () => {
    if (isOurs) await rm(POLICY, { force: true });
  };
}
