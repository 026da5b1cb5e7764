// start-cluster.ts: starts a whole cluster for a test by a call of startCluster(), in vitest, jest or node:test.
//
//   this process ──stdin──▶ keeper (twine-env keep) ──▶ nodes
//
// The keeper's standard input is a pipe from its owner: it ends when the owner's process ends for any reason. The keeper's
// standard output has lines of JSON: {"note"}, {"ready"}, {"failed"}.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { randomBytes } from "node:crypto";
import { openSync, closeSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { binPath, packageRoot } from "../../runtime/cli/package-root.ts";
import { EXIT, TwineError, type Problem } from "../../runtime/core/errors.ts";
import { claimName, envsRoot, type Environment } from "./env-folder.ts";

export interface StartClusterOptions {
  /** Path of a twine.conf; or its text in `confText`. The shipped one when both are absent. */
  readonly conf?: string;
  readonly confText?: string;
  /** Name of the environment; random when absent. */
  readonly name?: string;
  /** The cluster's password. */
  readonly password?: string;
  /** It ends after this time at the latest. @default none */
  readonly ttlMs?: number;
  /** The time limit until the cluster is OK. @default 60000 */
  readonly waitMs?: number;
  /** A Docker engine on which it runs, e.g. unix:///var/run/docker.sock. @default none: processes of this machine */
  readonly engine?: string;
  /** With `engine`: the image of Redis or Valkey. */
  readonly redisImage?: string;
  /** Called with one line of progress. */
  readonly onNote?: (line: string) => void;
}

export interface RunningCluster extends Environment {
  /** Ends it and removes everything of it. */
  stop(): Promise<void>;
}

/** How the keeper is started: by a program that keeps running, or by one that ends. */
export interface KeeperStart extends StartClusterOptions {
  /** pipe: it ends with this process. none: it keeps running, until the process `ownerPid` ends if one is given. */
  readonly owner: "pipe" | "none";
  readonly ownerPid?: number;
  /** Cancels the start; everything is removed. */
  readonly signal?: AbortSignal;
}

export interface StartedKeeper {
  readonly environment: Environment;
  readonly child: ChildProcess;
}

/** Starts a cluster of local processes and returns when it is OK. Throws a TwineError after everything is removed again. */
export async function startCluster(options: StartClusterOptions = {}): Promise<RunningCluster> {
  const { environment, child } = await startKeeper({ ...options, owner: "pipe" });
  return {
    ...environment,
    stop: async () => {
      if (!isRunning(child)) return;
      const exited = once(child, "exit");
      child.ref();
      child.stdin?.end();
      await exited;
    },
  };
}

export async function startKeeper(options: KeeperStart): Promise<StartedKeeper> {
  const name = options.name ?? `env-${randomBytes(4).toString("hex")}`;
  const folder = await claimName(envsRoot(), name);
  let child: ChildProcess | undefined;
  const giveUp = (): void => {
    child?.kill("SIGTERM");
  };
  options.signal?.addEventListener("abort", giveUp);
  try {
    child = await spawnKeeper(name, folder, options);
    return { environment: await untilReady(child, options), child };
  } catch (error) {
    // The keeper ends by itself after its clean-up; anything that it could not remove is removed here.
    child?.stdin?.end();
    if (child !== undefined && isRunning(child)) await once(child, "exit");
    await rm(folder, { recursive: true, force: true });
    throw options.signal?.aborted === true ? interrupted(name) : error;
  } finally {
    options.signal?.removeEventListener("abort", giveUp);
  }
}

function isRunning({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null;
}

function interrupted(name: string): TwineError {
  return new TwineError(
    {
      code: "INTERRUPTED",
      message: "interrupted",
      remedy: `nothing of ${name} is left; start it again when you like`,
    },
    { exitCode: EXIT.interrupted },
  );
}

async function spawnKeeper(
  name: string,
  folder: string,
  options: KeeperStart,
): Promise<ChildProcess> {
  const env = { ...process.env };
  if (options.password !== undefined) {
    const secrets = join(folder, "secrets");
    await mkdir(secrets, { mode: 0o700 });
    env["TWINE_PASSWORD_FILE"] = join(secrets, "password");
    await writeFile(env["TWINE_PASSWORD_FILE"], `${options.password}\n`, { mode: 0o600 });
  }
  const args = [
    ...[binPath("twine-env", "infra"), "keep", name, "--conf", await confOf(options, folder)],
    ...(options.ttlMs === undefined ? [] : ["--ttl", `${options.ttlMs}ms`]),
    ...(options.waitMs === undefined ? [] : ["--wait", `${options.waitMs}ms`]),
    ...(options.engine === undefined ? [] : ["--engine", options.engine]),
    ...(options.redisImage === undefined ? [] : ["--redis-image", options.redisImage]),
    ...(options.owner === "pipe" ? ["--owner", "pipe"] : []),
    ...(options.ownerPid === undefined ? [] : ["--owner", String(options.ownerPid)]),
  ];
  const log = openSync(join(folder, "keeper.log"), "a", 0o600);
  try {
    const child = spawn(process.execPath, args, {
      // A new session: the owner handles Ctrl-C at a terminal.
      detached: true,
      stdio: [options.owner === "pipe" ? "pipe" : "ignore", "pipe", log],
      env,
    });
    await once(child, "spawn");
    return child;
  } finally {
    closeSync(log);
  }
}

async function confOf({ conf, confText }: StartClusterOptions, folder: string): Promise<string> {
  if (confText === undefined) return resolve(conf ?? shippedConf());
  const file = join(folder, "given.conf");
  await writeFile(file, confText);
  return file;
}

function shippedConf(): string {
  return join(packageRoot(), "twine.conf");
}

type KeeperLine =
  | { readonly note: string }
  | { readonly ready: Environment }
  | { readonly failed: readonly Problem[] };

/** From then on neither the keeper nor its pipes keep this process alive. */
async function untilReady(
  child: ChildProcess,
  { onNote }: StartClusterOptions,
): Promise<Environment> {
  if (child.stdout === null) throw new Error("the keeper's output is a pipe");
  const lines = createInterface({ input: child.stdout });
  for await (const line of lines) {
    const message = JSON.parse(line) as KeeperLine;
    if ("note" in message) onNote?.(message.note);
    else if ("failed" in message) throw new TwineError(message.failed);
    else {
      lines.close();
      release(child);
      return message.ready;
    }
  }
  throw new TwineError({
    code: "ENV_ENDED",
    message: `the environment's keeper ended with ${child.signalCode ?? child.exitCode ?? "no exit code"} before its cluster was OK`,
    remedy: "start it again; if it ends again, try the file with twine-up, which leaves the logs",
  });
}

function release(child: ChildProcess): void {
  child.unref();
  child.stdout?.destroy();
  const { stdin } = child;
  // A pipe's handle is a socket.
  if (stdin !== null && "unref" in stdin) (stdin as unknown as { unref(): void }).unref();
}
