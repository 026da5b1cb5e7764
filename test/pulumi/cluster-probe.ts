// cluster-probe.ts: what tests of the whole program ask a deployed cluster and its engines.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type Docker from "dockerode";
import { expect } from "vitest";
import { REDIS_IMAGE } from "../support/base-images.ts";
import type { EngineFleet, EngineHost } from "../support/docker-engines.ts";
import { until } from "../support/redis-server.ts";
import { makeProject } from "./shipped-project.ts";
import { openStack, type StackConfig, type StackRunner } from "./stack-runner.ts";

const OK_WITHIN_MS = 180_000;

/** A stack of the shipped program, in a folder of its own. */
export async function openShipped(
  fleet: EngineFleet,
  name: string,
  config: StackConfig,
  root?: string,
): Promise<StackRunner> {
  const folder = join(fleet.folder, "stacks", name);
  await mkdir(folder, { recursive: true });
  const settings = { "twine:redisImage": { value: REDIS_IMAGE }, ...config };
  return openStack(folder, name, await makeProject(folder), settings, root);
}

/** twine:hosts of real hosts, with their addresses, since the test's own machine does not know their names. */
export function hostsConfig(fleet: EngineFleet, names: readonly string[]): StackConfig {
  const keys = names.flatMap((name) => {
    const { endpoint, address } = fleet.host(name);
    const at = `twine:hosts.${name}`;
    return [
      [`${at}.docker`, { value: endpoint }],
      [`${at}.address`, { value: address }],
    ] as const;
  });
  return Object.fromEntries(keys);
}

export async function outputs(runner: StackRunner, name: string): Promise<string[]> {
  return (await runner.stack.outputs())[name]?.value as string[];
}

/** redis-cli through the first router, from the host's network. */
export async function redis(
  runner: StackRunner,
  on: EngineHost,
  ...args: string[]
): Promise<string> {
  const [url = ""] = await outputs(runner, "routerUrls");
  return (await on.run("redis-cli", "--no-auth-warning", "-u", url, ...args)).trim();
}

/** What the first monitor says of the cluster; nothing while it does not answer. */
async function state(runner: StackRunner, on: EngineHost): Promise<string> {
  const [url = ""] = await outputs(runner, "monitorUrls");
  const ask = "fetch(process.argv[1]).then(r=>r.json()).then(s=>console.log(s.state),()=>{})";
  return (await on.run(process.execPath, "-e", ask, `${url}/status.json`)).trim();
}

export async function untilOk(runner: StackRunner, on: EngineHost): Promise<void> {
  await until("the cluster is OK", async () => (await state(runner, on)) === "OK", OK_WITHIN_MS);
}

/**
 * Names of the containers that lack a limit, a check or a pinned image, or have a right too many: what Docker itself
 * says, whatever was asked for.
 */
export async function unfitContainers(engine: EngineHost): Promise<string[]> {
  const containers = await engine.docker.listContainers({ all: true });
  const found = await Promise.all(
    containers.map((one) => engine.docker.getContainer(one.Id).inspect()),
  );
  expect(found.length).toBeGreaterThan(2);
  return found.filter((one) => !isFit(one)).map((one) => one.Name);
}

function isFit({ Config: config, HostConfig: host }: Docker.ContainerInspectInfo): boolean {
  return (
    (host.Memory ?? 0) > 0 &&
    host.Memory === host.MemorySwap &&
    (config.Healthcheck?.Test?.length ?? 0) > 1 &&
    isOnly(host.CapDrop, "ALL") &&
    host.CapAdd === null &&
    host.Privileged === false &&
    isOnly(host.SecurityOpt, "no-new-privileges:true") &&
    host.Ulimits?.map((limit) => limit.Name).join() === "nproc" &&
    "max-size" in (host.LogConfig?.Config ?? {}) &&
    /^sha256:[0-9a-f]{64}$/.test(config.Image) &&
    /^(999|1000)$/.test(config.User)
  );
}

function isOnly(list: unknown, entry: string): boolean {
  return Array.isArray(list) && list.length === 1 && list[0] === entry;
}

export async function removeContainers(engine: EngineHost): Promise<void> {
  const containers = await engine.docker.listContainers({ all: true });
  await Promise.all(
    containers.map((one) => engine.docker.getContainer(one.Id).remove({ force: true })),
  );
}

export async function expectNothingLeft(engine: EngineHost): Promise<void> {
  expect(await engine.docker.listContainers({ all: true })).toEqual([]);
  expect((await engine.docker.listVolumes()).Volumes).toEqual([]);
  const networks = (await engine.docker.listNetworks()).map((network) => network.Name);
  expect(networks.filter((name) => !["bridge", "host", "none"].includes(name))).toEqual([]);
}
