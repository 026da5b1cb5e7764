// installation.ts: facts of this machine for a supervisor's files: programs, paths, environment, the user.
import { execFile } from "node:child_process";
import { stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { promisify } from "node:util";
import type { Installation } from "../../plan/plan.ts";

const run = promisify(execFile);

const SYSTEM_PATH = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
const FILES = ["TWINE_PASSWORD_FILE", "TWINE_SMTP_PASSWORD_FILE"];

/** The result is the same from a shell, from cron and from a supervisor: the files must not depend on the caller. */
export async function installationOf(
  folder: string,
  redisPath: string | undefined,
  twineBin: (name: string) => string,
  env = process.env,
): Promise<Installation> {
  const node = process.execPath;
  const redis = redisPath ?? "/usr/bin/redis-server";
  const path = [...new Set([dirname(redis), ...SYSTEM_PATH])].join(":");
  const files = FILES.flatMap((name) => {
    const file = env[name] ?? "";
    return file === "" ? [] : [[name, resolve(file)] as const];
  });
  const user = process.getuid?.() === 0 ? await ownerOf(folder) : undefined;
  return {
    folder,
    node,
    redis,
    tool: twineBin,
    env: { PATH: path, ...Object.fromEntries(files) },
    ...(user === undefined ? {} : { user }),
  };
}

/** Owner of the folder or, if it does not exist yet, of its nearest existing parent. */
async function ownerOf(folder: string): Promise<string> {
  for (let path = folder; ; path = dirname(path)) {
    const found = await stat(path).catch(() => undefined);
    if (found === undefined && dirname(path) !== path) continue;
    const uid = String(found?.uid ?? 0);
    return run("id", ["-nu", uid]).then(
      ({ stdout }) => stdout.trim(),
      () => uid,
    );
  }
}
