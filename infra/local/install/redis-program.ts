// redis-program.ts: finds the redis-server or valkey-server of this machine.
import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { TwineError } from "../../../runtime/core/errors.ts";

const run = promisify(execFile);

export interface RedisProgram {
  readonly name: "redis-server" | "valkey-server";
  readonly path: string;
  /** e.g. "7.0.15" */
  readonly version: string;
}

/** Where servers and package managers install programs, in case the user's PATH lacks these folders. */
const MORE_FOLDERS = ["/usr/local/bin", "/opt/homebrew/bin", "/usr/bin", "/usr/sbin", "/sbin"];

/** The folders of PATH in their order, then the additional ones. */
function foldersOf(path: string): string[] {
  return [...new Set([...path.split(delimiter).filter((entry) => entry !== ""), ...MORE_FOLDERS])];
}

export async function findProgram(name: string, path = ""): Promise<string | undefined> {
  for (const folder of foldersOf(path)) {
    const candidate = join(folder, name);
    if (await isExecutable(candidate)) return candidate;
  }
  return undefined;
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** The first server on PATH that runs and prints its version, in a shell's search order; undefined when there is none. */
export async function findRedis(env = process.env): Promise<RedisProgram | undefined> {
  for (const folder of foldersOf(env["PATH"] ?? "")) {
    for (const name of ["redis-server", "valkey-server"]) {
      const path = join(folder, name);
      if (!(await isExecutable(path))) continue;
      const found = await versionOf(path);
      if (found !== undefined) return { ...found, path };
    }
  }
  return undefined;
}

/** "Redis server v=7.0.15 sha=…" or "Valkey server v=8.0.1 …"; undefined when the program doesn't run. A Valkey package may
    install it as redis-server, so the printed name counts. */
async function versionOf(
  path: string,
): Promise<Pick<RedisProgram, "name" | "version"> | undefined> {
  try {
    const { stdout } = await run(path, ["--version"], { timeout: 10_000 });
    const [, kind = "", version] = /^(\w+) server v=([\d.]+)/.exec(stdout) ?? [];
    if (version === undefined) return undefined;
    return { name: kind === "Valkey" ? "valkey-server" : "redis-server", version };
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
    remedy: "run twine-install: it installs Redis or prints the commands",
  });
}
