// redis-program.ts: the redis-server or valkey-server of this machine.
import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { TwineError } from "../../runtime/core/errors.ts";

const run = promisify(execFile);

export interface RedisProgram {
  readonly name: "redis-server" | "valkey-server";
  readonly path: string;
  /** e.g. "7.0.15" */
  readonly version: string;
}

/** Where servers and package managers put programs that a user's PATH may not name. */
const MORE_FOLDERS = ["/usr/local/bin", "/opt/homebrew/bin", "/usr/bin", "/usr/sbin", "/sbin"];

export async function findProgram(name: string, path = ""): Promise<string | undefined> {
  for (const folder of [
    ...path.split(delimiter).filter((entry) => entry !== ""),
    ...MORE_FOLDERS,
  ]) {
    const candidate = join(folder, name);
    const isThere = await access(candidate, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return candidate;
  }
  return undefined;
}

/** The first of the two that runs and tells its version; undefined when there is none. */
export async function findRedis(env = process.env): Promise<RedisProgram | undefined> {
  for (const name of ["redis-server", "valkey-server"] as const) {
    const path = await findProgram(name, env["PATH"]);
    if (path === undefined) continue;
    const version = await versionOf(path);
    if (version !== undefined) return { name, path, version };
  }
  return undefined;
}

/** "Redis server v=7.0.15 sha=…" or "Valkey server v=8.0.1 …"; undefined when the program doesn't run. */
async function versionOf(path: string): Promise<string | undefined> {
  try {
    const { stdout } = await run(path, ["--version"]);
    return /v=([\d.]+)/.exec(stdout)?.[1];
  } catch {
    return undefined;
  }
}

export function majorOf(program: RedisProgram): number {
  return Number.parseInt(program.version, 10);
}

export function redisMissing(): TwineError {
  return new TwineError({
    code: "REDIS_MISSING",
    message: "there is neither redis-server nor valkey-server on this machine",
    remedy: "run twine-install, which installs it or says how",
  });
}
