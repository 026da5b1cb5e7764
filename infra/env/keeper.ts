// keeper.ts: the process that keeps one temporary cluster, from its start to its end.
//
//   owner ──pipe──▶ keeper ──pdeathsig──▶ every node           (setpriv; Linux)
//
//   the owner ends, or closes the pipe         the keeper kills the nodes, removes the folder, ends
//   the keeper itself is killed                the kernel kills the nodes; the next `up` or `down` removes the folder
//   SIGTERM, --ttl is over                     the same as when the owner ends
//
// Why not pdeathsig from the owner: it is bound to the thread of the owner that spawned the process, and a program may end
// that thread. Nodes are killed, not stopped, because their data is not kept.
import { createServer, type Server } from "node:net";
import { once } from "node:events";
import { rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import type { Secret } from "../../runtime/core/credentials.ts";
import { printConf } from "../../runtime/core/conf/print.ts";
import { portsOf } from "../../runtime/core/conf/relations.ts";
import { TwineError } from "../../runtime/core/errors.ts";
import { setup, start } from "../local/commands.ts";
import type { LocalRequest } from "../local/context.ts";
import { servicePaths } from "../local/files/layout.ts";
import { runningProcess } from "../local/files/pid-file.ts";
import { startTimeOf } from "../local/processes/processes.ts";
import { findProgram, findRedis, majorOf } from "../local/install/redis-program.ts";
import { planCluster } from "../plan/plan-cluster.ts";
import { untilAllOk } from "./cluster-state.ts";
import { writeEnvironment, type Environment } from "./env-folder.ts";
import { addressBlock, endpointsOf, placeEnv } from "./place-env.ts";
import { launchExtrasOf, SOURCE_REDIS_MAJOR, sourceAddresses } from "./source-address.ts";

export interface KeeperRequest {
  readonly name: string;
  /** It exists and is empty: the keeper removes it at the end. */
  readonly folder: string;
  readonly config: ClusterConfig;
  readonly password: Secret | undefined;
  readonly ttlMs: number | undefined;
  /** The time limit until the cluster is OK. */
  readonly waitMs: number;
  readonly home: LocalRequest["home"];
  readonly progress: LocalRequest["progress"];
  /** Ends the environment. */
  readonly signal: AbortSignal;
}

const BLOCK_ATTEMPTS = 50;

/**
 * Starts the cluster, calls `onReady` once it is OK, and returns when it has ended and everything is removed. Throws a
 * TwineError when it can't be started; then everything is removed, too.
 */
export async function keep(
  request: KeeperRequest,
  onReady: (environment: Environment) => void,
): Promise<void> {
  const { folder, signal } = request;
  let config: ClusterConfig | undefined;
  try {
    config = await place(request);
    const environment = await begin(request, config);
    onReady(environment);
    await untilOver(signal, request.ttlMs);
  } finally {
    if (config !== undefined) await killAll(config, folder);
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Finds a block of addresses in which every port is free, and writes the environment's own twine.conf. */
async function place({ name, folder, config }: KeeperRequest): Promise<ClusterConfig> {
  if (process.platform !== "linux") {
    throw new TwineError({
      code: "ENV_PLATFORM",
      message:
        "environments of local processes need Linux: elsewhere 127.0.0.1 is the only loopback address",
      remedy: "run it in a Linux container or virtual machine, or use twine-up",
    });
  }
  for (let attempt = 0; attempt < BLOCK_ATTEMPTS; attempt++) {
    const block = addressBlock(name, attempt);
    const placed = placeEnv(config, { name, block, folder: dirname(config.file) });
    if (!(await arePortsFree(placed))) continue;
    const file = join(folder, "twine.conf");
    await writeFile(file, printConf(placed));
    return { ...placed, file };
  }
  throw new TwineError({
    code: "ENV_PORTS",
    message: `in ${BLOCK_ATTEMPTS} blocks of loopback addresses a port of twine.conf was in use`,
    remedy: "a program listens on all addresses: give the nodes other ports, or end it (ss -tlnp)",
  });
}

async function arePortsFree(config: ClusterConfig): Promise<boolean> {
  const servers: Server[] = [];
  try {
    for (const node of config.nodes) {
      for (const port of portsOf(node)) {
        const server = createServer();
        servers.push(server);
        server.listen({ host: node.host, port, exclusive: true });
        await once(server, "listening");
      }
    }
    return true;
  } catch {
    return false;
  } finally {
    await Promise.all(servers.filter(({ listening }) => listening).map(close));
  }
}

async function close(server: Server): Promise<void> {
  server.close();
  await once(server, "close");
}

async function begin(request: KeeperRequest, config: ClusterConfig): Promise<Environment> {
  const { name, folder, password, home, progress, signal, ttlMs } = request;
  const redis = await findRedis();
  const isNewEnough = redis !== undefined && majorOf(redis) >= SOURCE_REDIS_MAJOR;
  const sources = isNewEnough ? sourceAddresses(config) : undefined;
  const setpriv = await findProgram("setpriv", process.env["PATH"]);
  const local: LocalRequest = {
    config,
    dir: folder,
    password,
    home,
    progress,
    signal,
    launchExtras: launchExtrasOf(sources),
    ...(setpriv === undefined ? {} : { launcher: [setpriv, "--pdeathsig", "KILL", "--"] }),
  };
  await setup(local);
  await start(local);
  await untilOk(config, request);
  const now = Date.now();
  const environment: Environment = {
    name,
    folder,
    conf: config.file,
    pid: process.pid,
    startTime: (await startTimeOf(process.pid)) ?? "",
    since: new Date(now).toISOString(),
    until: ttlMs === undefined ? null : new Date(now + ttlMs).toISOString(),
    ...endpointsOf(config),
    ...(sources === undefined ? {} : { sourceAddresses: sources }),
  };
  await writeEnvironment(environment);
  return environment;
}

/** Throws ENV_NOT_OK or ENV_ENDED. */
async function untilOk(config: ClusterConfig, { waitMs, signal }: KeeperRequest): Promise<void> {
  const { isOk, states } = await untilAllOk(endpointsOf(config).monitorUrls, waitMs, signal);
  if (isOk) return;
  throw signal.aborted ? ended() : notOk(states, waitMs);
}

/** The error that not all monitors have reported OK in time. */
export function notOk(states: readonly string[], waitMs: number, engine?: string): TwineError {
  return new TwineError({
    code: "ENV_NOT_OK",
    message: `the cluster was not OK within ${waitMs / 1000} s; its monitors report: ${states.join(", ")}`,
    remedy:
      engine === undefined
        ? "give it more time with --wait, or try the file with twine-up, which leaves the logs"
        : `give it more time with --wait; while it starts, docker -H ${engine} logs shows the log of each container`,
  });
}

export function ended(): TwineError {
  return new TwineError({
    code: "ENV_ENDED",
    message: "the environment was ended before its cluster was OK",
    remedy: "nothing of it is left; run it again when you like",
  });
}

/** Checks the time every minute: a timer can't be longer than 24 days, and a timer must keep this process alive. */
export async function untilOver(signal: AbortSignal, ttlMs = Infinity): Promise<void> {
  const endMs = performance.now() + ttlMs;
  while (!signal.aborted && performance.now() < endMs) {
    const restMs = Math.max(1, endMs - performance.now());
    await delay(Math.min(restMs, 60_000), undefined, { signal }).catch(() => undefined);
  }
}

/** Uses their pid files, so that nodes restarted by twine-start are included. */
export async function killAll(config: ClusterConfig, folder: string): Promise<void> {
  const plan = planCluster(config, { confPath: config.file, hasPassword: false });
  const files = plan.hosts.flatMap((host) =>
    host.services.map((service) => servicePaths(folder, host.name, service).pidFile),
  );
  const running = await Promise.all(files.map((file) => runningProcess(file)));
  const found = running.filter((one) => one !== undefined);
  for (const { pid } of found) kill(pid);
  for (const { pid, startTime } of found) {
    while ((await startTimeOf(pid)) === startTime) await delay(10);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has just ended.
  }
}
