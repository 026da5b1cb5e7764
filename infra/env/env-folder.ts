// env-folder.ts: the folders of temporary clusters, and the list of them.
//
//   ROOT/NAME/             created by mkdir: its creator owns the name
//     env.json             the environment, and its keeper's process
//     twine.conf           the running one
//     keeper.log           the keeper's output
//     partitions/          written as by twine-setup
import { homedir } from "node:os";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { didYouMean } from "../../runtime/core/conf/suggest.ts";
import { EXIT, TwineError } from "../../runtime/core/errors.ts";
import { startTimeOf } from "../local/processes/processes.ts";
import type { EnvEndpoints } from "./place-env.ts";
import type { SourceAddresses } from "./source-address.ts";

/** The content of env.json. */
export interface Environment extends EnvEndpoints {
  readonly name: string;
  readonly folder: string;
  readonly conf: string;
  readonly pid: number;
  readonly startTime: string;
  /** Of each node the address that it connects from, so that it can be cut off; absent: all connect from 127.0.0.1. */
  readonly sourceAddresses?: SourceAddresses;
  /** The Docker engine that runs it; absent: processes of this machine. */
  readonly engine?: string;
  /** ISO 8601. */
  readonly since: string;
  /** ISO 8601; null: until `twine-env down`, or its owner's end. */
  readonly until: string | null;
}

/** TWINE_ENVS, otherwise twine/envs in this user's folder for state. */
export function envsRoot(env: NodeJS.ProcessEnv = process.env): string {
  const named = env["TWINE_ENVS"] ?? "";
  if (named !== "") return named;
  const state = env["XDG_STATE_HOME"] ?? "";
  return join(state === "" ? join(homedir(), ".local/state") : state, "twine", "envs");
}

/** Throws ENV_NAME. */
export function folderOf(root: string, name: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name)) return join(root, name);
  throw new TwineError(
    {
      code: "ENV_NAME",
      message: `${JSON.stringify(name)} can't be the name of an environment`,
      remedy: "use letters, digits, '.', '_' and '-', beginning with a letter or digit; at most 63",
    },
    { exitCode: EXIT.usage },
  );
}

/** Creates the folder of a new environment. Throws ENV_TAKEN. */
export async function claimName(root: string, name: string): Promise<string> {
  const folder = folderOf(root, name);
  await mkdir(root, { recursive: true, mode: 0o700 });
  for (let attempt = 0; ; attempt++) {
    try {
      await mkdir(folder, { mode: 0o700 });
      return folder;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
    }
    const there = await readEnvironment(root, name);
    // Remains of an environment whose keeper was killed.
    const isLeft = there !== undefined && !(await isKept(there));
    if (!isLeft || attempt > 0) throw taken(name);
    await rm(folder, { recursive: true, force: true });
  }
}

function taken(name: string): TwineError {
  return new TwineError({
    code: "ENV_TAKEN",
    message: `there is an environment ${name} already`,
    remedy: `end it with "twine-env down ${name}", or choose another name`,
  });
}

export async function writeEnvironment(environment: Environment): Promise<void> {
  const file = join(environment.folder, "env.json");
  await writeFile(file, `${JSON.stringify(environment, null, 2)}\n`, { mode: 0o600 });
}

/** Undefined when there is none of that name, or when it is just being created. */
export async function readEnvironment(
  root: string,
  name: string,
): Promise<Environment | undefined> {
  try {
    const text = await readFile(join(folderOf(root, name), "env.json"), "utf8");
    return JSON.parse(text) as Environment;
  } catch {
    return undefined;
  }
}

export async function listEnvironments(root: string): Promise<Environment[]> {
  const names = await readdir(root).catch(() => []);
  const found = await Promise.all(names.sort().map((name) => readEnvironment(root, name)));
  return found.filter((one) => one !== undefined);
}

/** Whether its keeper still runs (the same pid and start time). */
export async function isKept({ pid, startTime }: Environment): Promise<boolean> {
  return (await startTimeOf(pid)) === startTime;
}

export async function unknownName(root: string, name: string): Promise<TwineError> {
  const names = (await listEnvironments(root)).map((one) => one.name);
  const there = names.length === 0 ? "none exists" : `there are ${names.join(", ")}`;
  return new TwineError(
    {
      code: "ENV_UNKNOWN",
      message: `there is no environment ${name}${didYouMean(name, names)}; ${there}`,
      remedy: "twine-env list shows them",
    },
    { exitCode: EXIT.usage },
  );
}
