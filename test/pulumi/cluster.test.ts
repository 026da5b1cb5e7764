// The shipped Pulumi program, run by the engine as `pulumi up` runs it, on real Docker engines: the shipped twine.conf as
// pods on one engine, and examples/three-hosts.conf on three.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { REDIS_IMAGE, importBaseImages } from "../support/base-images.ts";
import { startEngines, type EngineFleet, type EngineHost } from "../support/docker-engines.ts";
import { until } from "../support/redis-server.ts";
import { isMissingForPulumi } from "./requirements.ts";
import { makeProject } from "./shipped-project.ts";
import { openStack, type StackConfig, type StackRunner } from "./stack-runner.ts";

const HOSTS = ["db1", "db2", "db3"];
const PASSWORD = "correct-horse-battery";
const OK_WITHIN_MS = 60_000;

describe.skipIf(isMissingForPulumi())("pulumi up", () => {
  let fleet: EngineFleet;
  const opened: StackRunner[] = [];

  beforeAll(async () => {
    fleet = await startEngines(["pods", ...HOSTS]);
    const all = ["pods", ...HOSTS].map((name) => fleet.host(name));
    await importBaseImages(all, fleet.folder);
  });

  afterEach(async () => {
    // A stack that a failed test left behind would hold ports and names.
    for (const runner of opened.splice(0)) await runner.destroy();
  });

  afterAll(async () => {
    await fleet.stop();
  });

  async function open(name: string, config: StackConfig): Promise<StackRunner> {
    const folder = join(fleet.folder, "stacks", name);
    await mkdir(folder, { recursive: true });
    const runner = await openStack(folder, name, await makeProject(folder), {
      "twine:redisImage": { value: REDIS_IMAGE },
      ...config,
    });
    opened.push(runner);
    return runner;
  }

  async function outputs(runner: StackRunner, name: string): Promise<string[]> {
    return (await runner.stack.outputs())[name]?.value as string[];
  }

  async function redis(runner: StackRunner, on: EngineHost, ...args: string[]): Promise<string> {
    const [url = ""] = await outputs(runner, "routerUrls");
    return (await on.run("redis-cli", "--no-auth-warning", "-u", url, ...args)).trim();
  }

  /** What the first monitor says of the cluster, asked from inside its network. */
  async function state(runner: StackRunner, on: EngineHost): Promise<string> {
    const [url = ""] = await outputs(runner, "monitorUrls");
    const ask = "fetch(process.argv[1]).then(r=>r.json()).then(s=>console.log(s.state))";
    return (await on.run(process.execPath, "-e", ask, `${url}/status.json`)).trim();
  }

  async function untilOk(runner: StackRunner, on: EngineHost): Promise<void> {
    await until("the cluster is OK", async () => (await state(runner, on)) === "OK", OK_WITHIN_MS);
  }

  async function expectNothingLeft(engine: EngineHost): Promise<void> {
    expect(await engine.docker.listContainers({ all: true })).toEqual([]);
    expect((await engine.docker.listVolumes()).Volumes).toEqual([]);
    const networks = (await engine.docker.listNetworks()).map((network) => network.Name);
    expect(networks.filter((name) => !["bridge", "host", "none"].includes(name))).toEqual([]);
  }

  test("of the shipped twine.conf on one engine: pods, unchanged by a second up, gone after destroy", async () => {
    const pods = fleet.host("pods");
    const runner = await open("staging", { "twine:engine": { value: pods.endpoint } });
    await runner.up();
    await untilOk(runner, pods);
    expect(await redis(runner, pods, "SET", "foo", "bar")).toBe("OK");
    expect(await redis(runner, pods, "GET", "foo")).toBe("bar");
    expect(await runner.up()).toEqual({});
    expect(await runner.preview({ refresh: true })).toEqual({});

    // Every container of the engine is lost; the volumes are not.
    const containers = await pods.docker.listContainers({ all: true });
    await Promise.all(
      containers.map((one) => pods.docker.getContainer(one.Id).remove({ force: true, v: true })),
    );
    await runner.up({ refresh: true });
    await untilOk(runner, pods);
    expect(await redis(runner, pods, "GET", "foo")).toBe("bar");
    await runner.destroy();
    await expectNothingLeft(pods);
  });

  test("of examples/three-hosts.conf on three engines, with a password", async () => {
    const endpoints = HOSTS.flatMap((name) => {
      const { endpoint, address } = fleet.host(name);
      const at = `twine:hosts.${name}`;
      return [
        [`${at}.docker`, { value: endpoint }],
        [`${at}.address`, { value: address }],
      ] as const;
    });
    const db1 = fleet.host("db1");
    const runner = await open("production", {
      "twine:conf": { value: "examples/three-hosts.conf" },
      ...Object.fromEntries(endpoints),
      "twine:password": { value: PASSWORD, secret: true },
    });
    await runner.up();
    await untilOk(runner, db1);
    expect(await redis(runner, db1, "SET", "foo", "bar")).toBe("OK");
    expect(await redis(runner, fleet.host("db3"), "GET", "foo")).toBe("bar");
    expect(await runner.up()).toEqual({});
    expect(await runner.stateText()).not.toContain(PASSWORD);
    for (const name of HOSTS) {
      const { docker } = fleet.host(name);
      for (const { Id: id } of await docker.listContainers({ all: true })) {
        expect(JSON.stringify(await docker.getContainer(id).inspect())).not.toContain(PASSWORD);
      }
    }
    await runner.destroy();
    for (const name of HOSTS) await expectNothingLeft(fleet.host(name));
  });
});
