// env-probe.ts: twine-env in the network of a test's engine, with the stand-in provider and the CLI on PATH.
import { join } from "node:path";
import { REDIS_IMAGE } from "../support/base-images.ts";
import type { EngineFleet, EngineHost } from "../support/docker-engines.ts";
import { ROOT } from "../support/source-files.ts";
import type { Environment } from "../../infra/env/env-folder.ts";
import { pulumiEnvironment } from "./stack-runner.ts";

const BIN = join(ROOT, "infra/bin/twine-env.ts");

/** Runs twine-env; answers its stdout. Rejects when it fails. */
export function twineEnv(fleet: EngineFleet, on: EngineHost, ...args: string[]): Promise<string> {
  const folder = join(fleet.folder, "twine-env");
  const given = { ...pulumiEnvironment(folder), TWINE_ENVS: join(folder, "envs") };
  const env = Object.entries(given)
    // It has a state of its own.
    .filter(([name]) => name !== "PULUMI_BACKEND_URL")
    .map(([name, value]) => `${name}=${value}`);
  return on.run("env", ...env, process.execPath, BIN, ...args);
}

export async function envUp(
  fleet: EngineFleet,
  on: EngineHost,
  name: string,
  conf: string,
  ...more: string[]
): Promise<Environment> {
  const args = ["--conf", conf, "--engine", on.endpoint, "--redis-image", REDIS_IMAGE];
  return JSON.parse(
    await twineEnv(fleet, on, "up", name, ...args, "--wait", "240s", ...more),
  ) as Environment;
}
