// The stand-in docker provider under the real Pulumi engine, on real Docker engines.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import * as docker from "@pulumi/docker";
import type { PulumiFn } from "@pulumi/pulumi/automation/index.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { REDIS_IMAGE, importBaseImages } from "../support/base-images.ts";
import { startEngines, type EngineFleet, type EngineHost } from "../support/docker-engines.ts";
import { openStack, type StackRunner } from "./stack-runner.ts";
import { isMissingForPulumi } from "./requirements.ts";

interface Wanted {
  conf: string;
  memoryMib: number;
  healthTest: string[];
  image: string;
  extra: Record<string, unknown>;
}

/** One redis-server with its volume and configuration on a network of its own. */
function smallProgram(engine: EngineHost, wanted: Wanted): PulumiFn {
  return () => {
    const provider = new docker.Provider("engine", { host: engine.endpoint });
    const network = new docker.Network("net", { name: "small" }, { provider });
    const volume = new docker.Volume("data", { name: "small-data" }, { provider });
    const args: docker.ContainerArgs = {
      name: "small-redis",
      image: wanted.image,
      command: ["redis-server", "/etc/redis.conf"],
      envs: ["LANG=C"],
      user: "999:999",
      capabilities: { drops: ["ALL"] },
      memory: wanted.memoryMib,
      memorySwap: wanted.memoryMib,
      destroyGraceSeconds: 10,
      uploads: [{ file: "/etc/redis.conf", content: wanted.conf }],
      volumes: [{ volumeName: volume.name, containerPath: "/data" }],
      networksAdvanced: [{ name: network.name, aliases: ["redis"] }],
      ports: [{ internal: 6379, external: 7100, ip: "127.0.0.1" }],
      healthcheck: { tests: wanted.healthTest, interval: "1s", timeout: "2s", retries: 3 },
      wait: true,
      waitTimeout: 8,
      ...wanted.extra,
    };
    new docker.Container("redis", args, { provider });
    return Promise.resolve();
  };
}

const CONF = "appendonly yes\nprotected-mode no\n";
const HEALTHY = ["CMD", "redis-cli", "PING"];

function wantedFirst(): Wanted {
  return { conf: CONF, memoryMib: 64, healthTest: HEALTHY, image: REDIS_IMAGE, extra: {} };
}

describe.skipIf(isMissingForPulumi())("the docker provider's stand-in", () => {
  let fleet: EngineFleet;
  let pods: EngineHost;

  beforeAll(async () => {
    fleet = await startEngines(["pods", "db1", "db2"]);
    pods = fleet.host("pods");
    await importBaseImages([pods, fleet.host("db1"), fleet.host("db2")], fleet.folder);
  });

  afterAll(async () => {
    await fleet.stop();
  });

  async function open(name: string, program: PulumiFn): Promise<StackRunner> {
    const folder = join(fleet.folder, "stacks", name);
    await mkdir(folder, { recursive: true });
    return openStack(folder, name, program);
  }

  const redis = (...args: string[]): Promise<string> =>
    pods.run("redis-cli", "-p", "7100", ...args);
  const containerId = async (): Promise<string> =>
    (await pods.docker.getContainer("small-redis").inspect()).Id;

  test("creates, changes nothing, replaces by an upload and keeps the volume, updates memory in place", async () => {
    // Method: one container through its whole life; each step is told by Docker, not by the provider.
    const wanted = wantedFirst();
    const runner = await open("life", smallProgram(pods, wanted));
    expect(await runner.preview()).toEqual({ create: 5 });
    expect(await runner.up()).toEqual({ create: 5 });
    expect(await redis("SET", "k", "kept")).toBe("OK\n");
    const first = await containerId();
    expect(await runner.up()).toEqual({});
    expect(await runner.preview({ refresh: true })).toEqual({});
    expect(await containerId()).toBe(first);

    wanted.conf = `${CONF}maxclients 77\n`;
    expect(await runner.up()).toEqual({ replace: 1 });
    const second = await containerId();
    expect(second).not.toBe(first);
    expect(await redis("GET", "k")).toBe("kept\n");
    expect(await redis("CONFIG", "GET", "maxclients")).toBe("maxclients\n77\n");

    wanted.memoryMib = 96;
    expect(await runner.up()).toEqual({ update: 1 });
    const updated = await pods.docker.getContainer("small-redis").inspect();
    expect(updated.Id).toBe(second);
    expect(updated.HostConfig.Memory).toBe(96 * 1024 * 1024);

    await pods.docker.getContainer("small-redis").remove({ force: true });
    expect(await runner.up({ refresh: true })).toEqual({ create: 1 });
    expect(await redis("GET", "k")).toBe("kept\n");

    await runner.destroy();
    expect(await pods.docker.listContainers({ all: true })).toEqual([]);
    expect((await pods.docker.listVolumes()).Volumes).toEqual([]);
    const networks = (await pods.docker.listNetworks()).map((network) => network.Name);
    expect(networks.sort()).toEqual(["bridge", "host", "none"]);
  });

  test("reports a changed health check as an update and does nothing, as the real provider", async () => {
    const wanted = wantedFirst();
    const runner = await open("silent", smallProgram(pods, wanted));
    await runner.up();
    const before = await containerId();
    wanted.healthTest = ["CMD", "redis-cli", "INFO"];
    expect(await runner.up()).toEqual({ update: 1 });
    const { Config: config, Id: id } = await pods.docker.getContainer("small-redis").inspect();
    expect(id).toBe(before);
    expect(config.Healthcheck?.Test).toEqual(HEALTHY);
    await runner.destroy();
  });

  test("a container that never gets healthy fails the up, stays, and is in the state", async () => {
    const wanted = { ...wantedFirst(), healthTest: ["CMD", "false"] };
    const runner = await open("sick", smallProgram(pods, wanted));
    await expect(runner.up()).rejects.toThrow(/container failed to be in healthy state/);
    const id = await containerId();
    expect(await runner.stateText()).toContain(id);
    await runner.destroy();
    expect(await pods.docker.listContainers({ all: true })).toEqual([]);
  });

  test("a container that could not start stays created and is replaced by the next up", async () => {
    const wanted = wantedFirst();
    wanted.extra = { entrypoints: ["/no/such/program"] };
    const runner = await open("unstarted", smallProgram(pods, wanted));
    await expect(runner.up()).rejects.toThrow(/Unable to start container/);
    const found = await pods.docker.getContainer("small-redis").inspect();
    expect(found.State.Status).toBe("created");
    wanted.extra = {};
    expect(await runner.up()).toEqual({ replace: 1 });
    expect(await redis("PING")).toBe("PONG\n");
    await runner.destroy();
  });

  test("refuses at preview what @pulumi/docker does not have or the provider refuses", async () => {
    // Method: nested ones, since the SDK itself drops an unknown argument of the resource before anyone sees it.
    const wanted = wantedFirst();
    const runner = await open("unknown", smallProgram(pods, wanted));
    wanted.extra = { uploads: [{ file: "/f", content: "x", mode: "0600" }] };
    await expect(runner.preview()).rejects.toThrow(/ContainerUpload .* has no property "mode"/);
    wanted.extra = { ulimits: [{ name: "nproc", soft: "many", hard: 10 }] };
    await expect(runner.preview()).rejects.toThrow(/must be a number, not string "many"/);
    wanted.extra = { ports: [{ external: 7100 }] };
    await expect(runner.preview()).rejects.toThrow(/missing required property "internal"/);
    wanted.extra = { uploads: [{ file: "/f", content: "" }] };
    await expect(runner.preview()).rejects.toThrow(/one of 'content'/);
  });

  test("a missing image fails in the real provider's words, and the next up recovers", async () => {
    const wanted = { ...wantedFirst(), image: "nowhere.invalid/none:1" };
    const runner = await open("imageless", smallProgram(pods, wanted));
    await expect(runner.up()).rejects.toThrow(/unable to pull image nowhere\.invalid\/none:1/);
    wanted.image = REDIS_IMAGE;
    expect(await runner.up()).toEqual({ create: 1 });
    await runner.destroy();
  });

  test("two engines, a provider each: every container lands on its own", async () => {
    const hosts = ["db1", "db2"].map((name) => fleet.host(name));
    const runner = await open("two", () => {
      for (const host of hosts) {
        const provider = new docker.Provider(host.name, { host: host.endpoint });
        const listen = ["--bind", host.address, "--protected-mode", "no"];
        const args = {
          image: REDIS_IMAGE,
          networkMode: "host",
          command: ["redis-server", ...listen],
        };
        new docker.Container(`on-${host.name}`, { ...args, mustRun: true }, { provider });
      }
      return Promise.resolve();
    });
    expect(await runner.up()).toEqual({ create: 5 });
    const [first, second] = hosts;
    expect(await first?.run("redis-cli", "-h", second?.address ?? "", "PING")).toBe("PONG\n");
    expect(await runner.up()).toEqual({});
    await runner.destroy();
    for (const host of hosts) expect(await host.docker.listContainers({ all: true })).toEqual([]);
  });

  test("a dead engine is an error at once, which names it", async () => {
    const runner = await open("dead", () => {
      const provider = new docker.Provider("dead", { host: "unix:///nowhere/docker.sock" });
      new docker.Volume("v", {}, { provider });
      return Promise.resolve();
    });
    const dead = /failed to connect to any docker daemon: unix:\/\/\/nowhere\/docker\.sock/;
    await expect(runner.up()).rejects.toThrow(dead);
  });
});
