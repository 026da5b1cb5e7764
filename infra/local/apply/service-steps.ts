// service-steps.ts: one step on one service of this machine: write its files, set, switch its append only file, restart.
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Redis } from "ioredis";
import type { SettingDifference } from "../../../runtime/core/conf/redis-values.ts";
import { addressOf, nodesOf } from "../../../runtime/core/cluster.ts";
import { credentialsOf } from "../../../runtime/core/credentials.ts";
import { TwineError } from "../../../runtime/core/errors.ts";
import type { NodeView } from "../../../runtime/core/view.ts";
import type { PlannedHost } from "../../plan/plan.ts";
import { askRole, withNode, type NodeAddress } from "../ask.ts";
import type { LocalContext } from "../context.ts";
import { applyHost, inspectHost } from "../files/setup.ts";
import { silentProgress } from "../progress.ts";
import { switchAofOn } from "../processes/data-form.ts";
import { startHosts } from "../processes/start.ts";
import { runningShape } from "../processes/running-shape.ts";
import { isTurnLost, stopHosts } from "../processes/stop.ts";
import { takeOver } from "../processes/take-over.ts";
import { monitorAgain, unmonitor } from "../supervisor/monit.ts";
import { unitOfProcess } from "../supervisor/systemd.ts";
import { askAddress, healthCredentials, type Target } from "../targets.ts";

const LOOK_EVERY_MS = 50;
const NEVER = new AbortController().signal;

/** A service, and the context of this machine. */
export interface Service {
  readonly context: LocalContext;
  readonly host: PlannedHost;
  readonly target: Target;
}

export class FileWriter {
  readonly #context: LocalContext;
  readonly #overwrite: boolean;
  #last: Promise<unknown> = Promise.resolve();

  constructor(context: LocalContext, overwrite: boolean) {
    this.#context = context;
    this.#overwrite = overwrite;
  }

  /**
   * Writes the host's files for which `isMeant` is true. Calls run one after the other, because they share the record of
   * written files. Throws the errors of setup.ts.
   */
  write(host: PlannedHost, isMeant: (path: string) => boolean): Promise<void> {
    const next = this.#last.then(async () => {
      const options = { overwrite: this.#overwrite, adopt: false };
      const state = await inspectHost(this.#context, host, options);
      const files = state.files.filter(({ file }) => isMeant(file.path));
      const problems = state.problems.filter(({ file }) => isMeant(file.path));
      if (problems.length > 0) throw new TwineError(problems.map(({ problem }) => problem));
      const services = host.services.filter(({ folder }) => isMeant(`${folder}/`));
      await applyHost(this.#context, { ...state, files, host: { ...host, services } });
    });
    this.#last = next.catch(() => undefined);
    return next;
  }
}

function addressOfTarget(context: LocalContext, { service }: Target): NodeAddress {
  return {
    address: askAddress(service),
    port: service.health.port,
    credentials: credentialsOf("monitor", context.password),
  };
}

/** Sends CONFIG SET for each; returns the names that the node refused. Rejects when the node can't be asked. */
export async function setSettings(
  { context, target }: Service,
  settings: readonly SettingDifference[],
): Promise<string[]> {
  const refused: string[] = [];
  await withNode(addressOfTarget(context, target), async (redis) => {
    for (const { setting, wanted } of settings) {
      await redis.call("CONFIG", "SET", setting, wanted).catch(async (error: unknown) => {
        // Only an error reply is a refusal; a broken connection proves nothing.
        await redis.call("CONFIG", "GET", setting).catch(() => {
          throw error;
        });
        refused.push(setting);
      });
    }
  });
  return refused;
}

/** Returns when the append only file is complete, or is switched off after an RDB with all data was written. Throws
    AOF_FAILED. */
export async function switchAof(
  service: Service,
  isOn: boolean,
  signal: AbortSignal,
): Promise<void> {
  const { context, target } = service;
  if (isOn) {
    await switchAofOn(context, target, signal);
    return;
  }
  const { name } = target.service;
  await withNode(
    addressOfTarget(context, target),
    async (redis) => {
      await saveWhole(redis, name, signal);
      await redis.call("CONFIG", "SET", "appendonly", "no");
    },
    // A node with much memory answers late, because it forks.
    null,
  );
  const data = join(target.paths.folder, target.service.dataFolder ?? "data");
  const old = join(data, "appendonlydir.old");
  await rm(old, { recursive: true, force: true });
  await rename(join(data, "appendonlydir"), old).catch(() => undefined);
}

/** Runs BGSAVE and waits for it: the RDB then has all data of the append only file. */
async function saveWhole(redis: Redis, name: string, signal: AbortSignal): Promise<void> {
  const untilIdle = async (): Promise<(field: string) => string | undefined> => {
    for (;;) {
      const info = await redis.info("persistence");
      const field = (key: string): string | undefined =>
        new RegExp(`^${key}:(\\w+)`, "m").exec(info)?.[1];
      const isIdle =
        field("rdb_bgsave_in_progress") === "0" && field("aof_rewrite_in_progress") === "0";
      if (isIdle) return field;
      signal.throwIfAborted();
      await delay(LOOK_EVERY_MS);
    }
  };
  await untilIdle();
  await redis.call("BGSAVE");
  const field = await untilIdle();
  if (field("rdb_last_bgsave_status") === "ok") return;
  throw new TwineError({
    code: "AOF_FAILED",
    message: `node ${name} can't write its RDB, so its append only file stays on`,
    remedy: "see its redis.log (often a full disk) and run twine-apply again",
  });
}

/** The right to stop a node now. */
export interface Permit {
  /** Asks everything that must be so, right before the node is stopped. */
  isReady(): Promise<boolean>;
  /** Asked in the same event-loop tick as the signal. */
  isHeld(): boolean;
}

/**
 * Stops it and starts it with its current files; once it is stopped, it is always started again. False: the permit was not
 * or no longer there, and nothing was stopped.
 */
export async function restartService(
  { context, host, target }: Service,
  permit: Permit,
): Promise<boolean> {
  const own = ownContext(context, target);
  const hasMonit = context.supervisor === "monit";
  try {
    // Before the permit, because monit takes its time.
    if (hasMonit) await unmonitor(own, [target]);
    if (!(await permit.isReady())) return false;
    await stopHosts(own, [host], () => permit.isHeld());
    await startHosts(own, [host]);
    return true;
  } catch (error) {
    if (isTurnLost(error)) return false;
    throw error;
  } finally {
    if (hasMonit) await monitorAgain(own, [target]);
  }
}

/**
 * As restartService(), but a router listens again before its old process ends: the new process shares the port and asks the
 * old one to end once it listens itself. Where that can't be done it is a restart.
 */
export async function replaceRouter(service: Service, permit: Permit): Promise<boolean> {
  const { context, target } = service;
  const { running } = target;
  const isShared = (await runningShape(target))?.isPortShared === true;
  if (!isShared || running === undefined || (await unitOfProcess(running.pid)) !== undefined) {
    return restartService(service, permit);
  }
  const own = ownContext(context, target);
  const hasMonit = context.supervisor === "monit";
  try {
    if (hasMonit) await unmonitor(own, [target]);
    if (!(await permit.isReady()) || !permit.isHeld()) return false;
    await takeOver(own, target, running);
    return true;
  } finally {
    if (hasMonit) await monitorAgain(own, [target]);
  }
}

/** Starts a service that does not run. */
export async function startService({ context, host, target }: Service): Promise<void> {
  const own = ownContext(context, target);
  await startHosts(own, [host]);
  if (context.supervisor === "monit") await monitorAgain(own, [target]);
}

function ownContext(context: LocalContext, { service }: Target): LocalContext {
  return { ...context, nodes: [service.name], progress: silentProgress, signal: NEVER };
}

/** Why the data node must not stop now; the view may be old, so it and the others of its partition are asked themselves. */
export async function whyNotNow(
  service: Service,
  others: readonly Pick<NodeView, "name" | "host" | "port">[],
  isForced: boolean,
): Promise<string | undefined> {
  const { name } = service.target.service;
  if (!isForced && (await isMaster(service))) return `${name} is master`;
  const credentials = credentialsOf("monitor", service.context.password);
  const serving = await Promise.all(
    others.map(({ host, port }) => isServing({ address: addressOf(host), port, credentials })),
  );
  const away = others.find((_, at) => serving[at] !== true);
  if (away === undefined) return undefined;
  return `${away.name} does not answer as in sync: two nodes of the partition would be away at once`;
}

/** Whether the node says that it is master, or a replica with a link to its master. */
function isServing(node: NodeAddress): Promise<boolean> {
  return withNode(node, async (redis) => {
    const info = await redis.info("replication");
    return /^(role:master|master_link_status:up)\r?$/m.test(info);
  }).catch(() => false);
}

/** Whether every status node answers, by the nodes themselves. */
export async function doStatusNodesAnswer({ config, password }: LocalContext): Promise<boolean> {
  const credentials = credentialsOf("health", password);
  const answers = await Promise.all(
    nodesOf(config, "status").map(({ host, port }) => askRole(addressOf(host), port, credentials)),
  );
  return answers.every((role) => role === "master");
}

async function isMaster({ context, target }: Service): Promise<boolean> {
  const { service } = target;
  const role = await askRole(askAddress(service), service.health.port, healthCredentials(context));
  return role === "master";
}

/** The run id of the process that answers now; undefined when there is none. */
export function runIdOf({ context, target }: Service): Promise<string | undefined> {
  return withNode(addressOfTarget(context, target), async (redis) => {
    const info = await redis.info("server");
    return /^run_id:(\w+)/m.exec(info)?.[1];
  }).catch(() => undefined);
}
