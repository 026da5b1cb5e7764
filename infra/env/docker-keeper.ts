// docker-keeper.ts: keeps one temporary cluster on a Docker engine, from its start to its end.
//
//   the owner ends, SIGTERM, --ttl is over   containers, volumes, network and folder are removed
//   the keeper itself is killed              containers keep running: `twine-env down NAME` removes them
import { readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { ClusterConfig } from "../../runtime/core/cluster.ts";
import { errorText } from "../../runtime/core/error-text.ts";
import { TwineError } from "../../runtime/core/errors.ts";
import { passwordsOf } from "../../runtime/core/credentials.ts";
import { completeConfig } from "../../runtime/core/conf/complete.ts";
import { parseConf } from "../../runtime/core/conf/parse.ts";
import { printConf } from "../../runtime/core/conf/print.ts";
import { startTimeOf } from "../local/processes/processes.ts";
import { untilAllOk } from "./cluster-state.ts";
import { writeEnvironment, type Environment } from "./env-folder.ts";
import { ended, killAll, notOk, untilOver, type KeeperRequest } from "./keeper.ts";
import { endpointsOf, settingsOfEnv, type EnvEndpoints } from "./place-env.ts";

export interface DockerKeeperRequest extends Omit<KeeperRequest, "home" | "progress"> {
  /** E.g. unix:///var/run/docker.sock */
  readonly engine: string;
  /** The component's default when absent. */
  readonly redisImage: string | undefined;
}

/** Loaded when needed: loading Pulumi is slow, and local processes do not need it. Throws ENV_PULUMI. */
async function dockerSide(): Promise<typeof import("../docker/throw-away.ts")> {
  try {
    return await import("../docker/throw-away.ts");
  } catch (cause) {
    throw new TwineError(
      {
        code: "ENV_PULUMI",
        message: `an environment on a Docker engine needs Pulumi's packages: ${errorText(cause)}`,
        remedy: "npm install @pulumi/pulumi @pulumi/docker",
      },
      { cause },
    );
  }
}

/** The name of an environment's stack and network; names of containers and volumes begin with it. */
export function stackOf(name: string): string {
  return `env-${name}`;
}

/** Like keep() of keeper.ts. */
export async function keepOnEngine(
  request: DockerKeeperRequest,
  onReady: (environment: Environment) => void,
): Promise<void> {
  const { name, folder, engine, signal } = request;
  const config = placeOnEngine(request);
  const { beginThrowAway, removeThrowAway } = await dockerSide();
  let made: Promise<void> = Promise.resolve();
  try {
    await writeFile(config.file, printConf(config));
    // Remains of a killed environment of this name.
    await removeThrowAway(engine, stackOf(name), config);
    const begun = await beginThrowAway({
      ...{ name: stackOf(name), folder, config, engine, signal },
      redisImage: request.redisImage,
      password: passwordsOf(request.password)[0],
    });
    ({ made } = begun);
    const endpoints = reachedAt(endpointsOf(config), begun.ports);
    // If the cluster can't be created, the wait ends early.
    const failed = made.then(() => new Promise<never>(() => undefined));
    const { isOk, states } = await Promise.race([
      untilAllOk(endpoints.monitorUrls, request.waitMs, signal),
      failed,
    ]);
    if (!isOk) throw signal.aborted ? ended() : notOk(states, request.waitMs, engine);
    const environment = await environmentOf(request, config, endpoints);
    onReady(environment);
    await untilOver(signal, request.ttlMs);
  } finally {
    // Pulumi may still be creating resources; they would appear after the removal.
    await made.catch(() => undefined);
    await removeThrowAway(engine, stackOf(name), config);
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Hosts keep their names: each is a pod. */
function placeOnEngine({ name, folder, config: given }: DockerKeeperRequest): ClusterConfig {
  const { config } = completeConfig(given);
  const settings = settingsOfEnv(config.settings, dirname(given.file));
  const file = join(folder, "twine.conf");
  return { ...config, file, settings: { ...settings, cluster: stackOf(name) } };
}

async function environmentOf(
  { name, folder, engine, ttlMs }: DockerKeeperRequest,
  config: ClusterConfig,
  endpoints: EnvEndpoints,
): Promise<Environment> {
  const now = Date.now();
  const environment: Environment = {
    ...{ name, folder, engine, conf: config.file, pid: process.pid },
    startTime: (await startTimeOf(process.pid)) ?? "",
    since: new Date(now).toISOString(),
    until: ttlMs === undefined ? null : new Date(now + ttlMs).toISOString(),
    ...endpoints,
  };
  await writeEnvironment(environment);
  return environment;
}

/** The same endpoints, at the ports that the engine publishes. */
function reachedAt(endpoints: EnvEndpoints, ports: ReadonlyMap<string, number>): EnvEndpoints {
  const here = <T extends { readonly name: string }>(one: T) => ({
    ...one,
    host: "127.0.0.1",
    port: ports.get(one.name) ?? 0,
  });
  const { routerUrls, routers, monitors, statusNodes, dataNodes } = endpoints;
  const scheme = routerUrls[0]?.split(":")[0] ?? "redis";
  return {
    routerUrls: routers.map((one) => `${scheme}://127.0.0.1:${here(one).port}`),
    monitorUrls: monitors.map((one) => `http://127.0.0.1:${here(one).port}`),
    ...{ routers: routers.map(here), monitors: monitors.map(here) },
    ...{ statusNodes: statusNodes.map(here), dataNodes: dataNodes.map(here) },
  };
}

/** For an environment whose keeper has ended: removes what still runs, and its folder. Throws ENV_ENGINE, ENV_LEFT. */
export async function removeLeft(
  conf: string,
  folder: string,
  engine: string | undefined,
): Promise<void> {
  const text = await readFile(conf, "utf8").catch(() => "");
  const { config } = parseConf(text, conf);
  if (config !== undefined && engine === undefined) await killAll(config, folder);
  if (config !== undefined && engine !== undefined) {
    const { removeThrowAway } = await dockerSide();
    await removeThrowAway(engine, config.settings.cluster, config);
  }
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}
