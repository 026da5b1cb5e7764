// stack-runner.ts: a Pulumi stack for a test: the real engine, the stand-in docker provider, state in a folder of its own.
//
//   program (inline, in this process) <-> engine (pulumi CLI) <-> pulumi-resource-docker on PATH <-> Docker engines
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { mkdir, readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import {
  LocalWorkspace,
  PulumiCommand,
  type PulumiFn,
  type Stack,
} from "@pulumi/pulumi/automation/index.js";
import { pulumiRoot } from "./cli/pulumi-cli.ts";

const run = promisify(execFile);

export interface StackRunner {
  readonly stack: Stack;
  /** Operations that the last up or preview did, by kind, "same" left out: {create: 3}. */
  up(options?: { readonly refresh?: boolean }): Promise<Readonly<Record<string, number>>>;
  preview(options?: { readonly refresh?: boolean }): Promise<Readonly<Record<string, number>>>;
  destroy(): Promise<void>;
  /** Runs another command of Pulumi on this stack; answers its stdout. */
  pulumi(...args: readonly string[]): Promise<string>;
  /** Begins `pulumi up` as a process of its own, for a test that interrupts it. */
  beginUp(): ChildProcess;
  /** The state as it lies on disk, secrets encrypted. */
  stateText(): Promise<string>;
}

/** What every Pulumi process of a test gets: the provider on PATH, no update check, no plugin downloads. */
export function pulumiEnvironment(folder: string): Record<string, string> {
  const standIns = ["provider", "language"].map((name) => join(import.meta.dirname, name));
  const path = process.env["PATH"] ?? "";
  return {
    PATH: [...standIns, join(pulumiRoot(), "bin"), path].join(delimiter),
    PULUMI_HOME: join(folder, "home"),
    PULUMI_BACKEND_URL: `file://${join(folder, "state")}`,
    PULUMI_CONFIG_PASSPHRASE: "test",
    PULUMI_SKIP_UPDATE_CHECK: "true",
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
    TWINE_TEST_NODE: process.execPath,
    // As from a laptop with another processor than the engines have.
    TWINE_TEST_MACHINE: process.arch === "arm64" ? "amd64" : "arm64",
  };
}

export type StackConfig = Readonly<Record<string, { value: string; secret?: boolean }>>;

/**
 * Opens a stack whose state, settings and plugins lie in `folder`.
 * `root` is the folder of bin/pulumi; `program`: a function, run in this process, or the folder of a Pulumi project, run by the language host.
 */
export async function openStack(
  folder: string,
  name: string,
  program: PulumiFn | string,
  config: StackConfig = {},
  root = pulumiRoot(),
): Promise<StackRunner> {
  for (const part of ["state", "home", "work"])
    await mkdir(join(folder, part), { recursive: true });
  const pulumiCommand = await PulumiCommand.get({ root });
  const settings = { pulumiCommand, envVars: pulumiEnvironment(folder) };
  const stack =
    typeof program === "string"
      ? await LocalWorkspace.createOrSelectStack({ stackName: name, workDir: program }, settings)
      : await LocalWorkspace.createOrSelectStack(
          { stackName: name, projectName: "twine", program },
          { ...settings, workDir: join(folder, "work") },
        );
  const command = (): { file: string; options: { cwd: string; env: NodeJS.ProcessEnv } } => ({
    file: join(root, "bin/pulumi"),
    options: { cwd: stack.workspace.workDir, env: { ...process.env, ...settings.envVars } },
  });
  // No container may land on an engine that nobody named.
  await stack.setConfig("pulumi:disable-default-providers", { value: '["docker"]' });
  await stack.setAllConfig({ ...config }, true);
  return {
    stack,
    up: async (options) => {
      const result = await diagnosed(stack.up({ ...options, color: "never" }));
      return withoutSame(result.summary.resourceChanges ?? {});
    },
    preview: async (options) => {
      const result = await diagnosed(stack.preview({ ...options, color: "never" }));
      return withoutSame(result.changeSummary);
    },
    destroy: async () => {
      await diagnosed(stack.destroy({ color: "never" }));
    },
    pulumi: async (...args) => {
      const { file, options } = command();
      try {
        return (await run(file, [...args, "--stack", name, "--non-interactive"], options)).stdout;
      } catch (cause) {
        // Pulumi writes its diagnostics to stdout.
        const { stdout = "", stderr = "" } = cause as { stdout?: string; stderr?: string };
        throw new Error(`pulumi ${args.join(" ")} failed:\n${stdout}${stderr}`, { cause });
      }
    },
    beginUp: () => {
      const { file, options } = command();
      const args = ["up", "--yes", "--skip-preview", "--stack", name, "--non-interactive"];
      return spawn(file, args, { ...options, stdio: "ignore" });
    },
    stateText: () => readFile(join(folder, `state/.pulumi/stacks/twine/${name}.json`), "utf8"),
  };
}

function withoutSame(
  changes: Readonly<Record<string, number | undefined>>,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(changes).filter(
      (entry): entry is [string, number] => entry[0] !== "same" && entry[1] !== undefined,
    ),
  );
}

/** The engine's diagnostics alone, where there are some: its report of everything would hide them. */
async function diagnosed<T>(running: Promise<T>): Promise<T> {
  try {
    return await running;
  } catch (cause) {
    const report = cause instanceof Error ? cause.message : String(cause);
    const told = /^Diagnostics:\n([\s\S]*?)^(?:Outputs|Resources):/m.exec(report)?.[1];
    throw told === undefined ? cause : new Error(`pulumi failed:\n${told}`, { cause });
  }
}
