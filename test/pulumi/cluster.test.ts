// The shipped Pulumi program, run by the engine as `pulumi up` runs it, on real Docker engines: the shipped twine.conf as
// pods on one engine, and examples/three-hosts.conf on three.
import { readlink } from "node:fs/promises";
import { credentialsOf, type RedisUser } from "../../runtime/core/credentials.ts";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { importBaseImages } from "../support/base-images.ts";
import { startEngines, type EngineFleet, type EngineHost } from "../support/docker-engines.ts";
import { until } from "../support/redis-server.ts";
import {
  expectNothingLeft,
  hostsConfig,
  openShipped,
  redis,
  removeContainers,
  unfitContainers,
  untilOk,
} from "./cluster-probe.ts";
import { isMissingForPulumi } from "./requirements.ts";
import type { StackConfig, StackRunner } from "./stack-runner.ts";

const HOSTS = ["db1", "db2", "db3"];
const PASSWORD = "correct-horse-battery";

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
    const runner = await openShipped(fleet, name, config);
    opened.push(runner);
    return runner;
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

    // Every container of the engine is lost; the volumes are not, and no other was made.
    await removeContainers(pods);
    expect((await pods.docker.listVolumes()).Volumes).toHaveLength(12);
    await runner.up({ refresh: true });
    await untilOk(runner, pods);
    expect(await redis(runner, pods, "GET", "foo")).toBe("bar");

    // Somebody restarts the pod: its containers follow it into its new namespace.
    const pod = pods.docker.getContainer("staging-localhost");
    await pod.restart();
    const space = await spaceOf(pods, "staging-localhost");
    const node = "staging-a6666";
    await until("a node follows", async () => (await spaceOf(pods, node)) === space, 60_000);
    await untilOk(runner, pods);
    expect(await redis(runner, pods, "GET", "foo")).toBe("bar");

    await expectRescue(pods);
    await untilOk(runner, pods);

    // The machine loses its power.
    await pods.kill();
    await pods.start();
    await runner.up({ refresh: true });
    await untilOk(runner, pods);
    expect(await redis(runner, pods, "GET", "foo")).toBe("bar");
    expect(await unfitContainers(pods)).toEqual([]);
    await runner.destroy();
    await expectNothingLeft(pods);
  });

  test("of examples/three-hosts.conf on three engines, with a password", async () => {
    const db1 = fleet.host("db1");
    const runner = await open("production", {
      "twine:conf": { value: "examples/three-hosts.conf" },
      ...hostsConfig(fleet, HOSTS),
      "twine:password": { value: PASSWORD, secret: true },
    });
    await runner.up();
    await untilOk(runner, db1);
    expect(await redis(runner, db1, "SET", "foo", "bar")).toBe("OK");
    expect(await redis(runner, fleet.host("db3"), "GET", "foo")).toBe("bar");
    expect(await runner.up()).toEqual({});
    await expectNoSecret(runner);

    // One host loses its power: `up` says so at once, and goes on when the host is back.
    const db2 = fleet.host("db2");
    await db2.kill();
    const told = await runner.up().catch((error: unknown) => String(error));
    expect(told).toContain(`docker daemon: ${db2.endpoint}`);
    expect(told).toContain(`twine:hosts["db2"] ${db2.endpoint}: no Docker engine answers there`);
    await db2.start();
    await runner.up({ refresh: true });
    await untilOk(runner, db1);
    expect(await redis(runner, db1, "GET", "foo")).toBe("bar");
    for (const name of HOSTS) expect(await unfitContainers(fleet.host(name))).toEqual([]);
    await runner.destroy();
    for (const name of HOSTS) await expectNothingLeft(fleet.host(name));
  });

  /** Neither the password nor any that is made of it, in the state, a container's environment, labels or command. */
  async function expectNoSecret(runner: StackRunner): Promise<void> {
    const users: readonly RedisUser[] = ["app", "router", "monitor", "replica", "health"];
    const made = users.map((user) => credentialsOf(user, PASSWORD)?.password ?? "");
    const secrets = [...new Set([PASSWORD, ...made])];
    expect(secrets.length).toBeGreaterThan(3);
    const shown = [await runner.stateText()];
    for (const { docker } of HOSTS.map((name) => fleet.host(name))) {
      for (const { Id: id } of await docker.listContainers({ all: true })) {
        shown.push(JSON.stringify(await docker.getContainer(id).inspect()));
      }
    }
    expect(secrets.filter((secret) => shown.some((text) => text.includes(secret)))).toEqual([]);
  }
});

/** Somebody makes a replica master by hand and writes there: it is saved before the alpha takes it back. */
async function expectRescue(pods: EngineHost): Promise<void> {
  const view = await statusOf(pods);
  const replica = view.nodes.find(({ role }) => role === "replica");
  expect(replica).toBeDefined();
  const { name = "", port = 0 } = replica ?? {};
  // In one breath: once an alpha has looked, it is a replica again and takes no writes.
  const both = `printf 'REPLICAOF NO ONE\\nSET by:hand kept\\n' | redis-cli -p ${port}`;
  const at = ["-H", pods.endpoint, "exec", `staging-${name}`, "sh", "-c", both];
  expect(await pods.run("docker", ...at)).toBe("OK\nOK\n");
  let place = "";
  const isSaved = async (): Promise<boolean> => {
    // Too few status nodes may answer for a moment.
    const seen = await statusOf(pods).catch(() => undefined);
    const rescue = seen?.nodes.find((node) => node.name === name)?.rescue;
    place = rescue?.kind === "saved" ? (rescue.place ?? "") : "";
    return place !== "";
  };
  await until("the writes made by hand are saved", isSaved, 60_000);
  const [monitor = "", path = ""] = place.split(":");
  const saved = await pods.run(
    "docker",
    "-H",
    pods.endpoint,
    "exec",
    `staging-${monitor}`,
    "cat",
    path,
  );
  expect(saved).toMatch(/^REDIS\d+[^]*by:hand/);
}

interface StatusSeen {
  readonly nodes: readonly {
    readonly name: string;
    readonly role: string;
    readonly port: number;
    readonly rescue?: { readonly kind: string; readonly place: string | null };
  }[];
}

/** /status.json of the first monitor, asked inside its container. */
async function statusOf(pods: EngineHost): Promise<StatusSeen> {
  const ask =
    "fetch('http://127.0.0.1:7601/status.json').then(r=>r.ok?r.text():'').then(console.log)";
  const answer = await pods.run(
    "docker",
    "-H",
    pods.endpoint,
    "exec",
    "staging-m1",
    "node",
    "-e",
    ask,
  );
  return JSON.parse(answer) as StatusSeen;
}

/** The network namespace that a container's process is in; empty while there is none. */
async function spaceOf(engine: EngineHost, container: string): Promise<string> {
  const { State: state } = await engine.docker.getContainer(container).inspect();
  return readlink(`/proc/${state.Pid}/ns/net`).catch(() => "");
}
