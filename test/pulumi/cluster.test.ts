// The shipped Pulumi program, run by the engine as `pulumi up` runs it, on real Docker engines: the shipped twine.conf as
// pods on one engine, and examples/three-hosts.conf on three.
import { readFileSync } from "node:fs";
import { cp, readlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { credentialsOf, type RedisUser } from "../../runtime/core/credentials.ts";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { importBaseImages } from "../support/base-images.ts";
import { startEngines, type EngineFleet, type EngineHost } from "../support/docker-engines.ts";
import { until } from "../support/redis-server.ts";
import { ROOT } from "../support/source-files.ts";
import type { Environment } from "../../infra/env/env-folder.ts";
import { beginChanges } from "./changes.ts";
import { envUp, twineEnv } from "./env-probe.ts";
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
const OTHER_PASSWORD = "another-word";

describe.skipIf(isMissingForPulumi())("pulumi up", () => {
  let fleet: EngineFleet;
  const opened: StackRunner[] = [];
  let password = PASSWORD;

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
    const conf = join(fleet.folder, "three-hosts.conf");
    await cp(join(ROOT, "examples/three-hosts.conf"), conf);
    const runner = await open("production", {
      "twine:conf": { value: conf },
      ...hostsConfig(fleet, HOSTS),
      "twine:password": { value: PASSWORD, secret: true },
    });
    await runner.up();
    await untilOk(runner, db1);
    expect(await redis(runner, db1, "SET", "foo", "bar")).toBe("OK");
    expect(await redis(runner, fleet.host("db3"), "GET", "foo")).toBe("bar");
    expect(await runner.up()).toEqual({});
    await expectNoSecret(runner);
    await expectChanges(runner, conf);

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
    await expectPlanLive(runner);
    for (const name of HOSTS) expect(await unfitContainers(fleet.host(name))).toEqual([]);
    await runner.destroy();
    for (const name of HOSTS) await expectNothingLeft(fleet.host(name));
  });

  test("twine-env on an engine: side by side with ports of their own, refused by a dead engine, nothing left", async () => {
    const pods = fleet.host("pods");
    const conf = join(ROOT, "test/pulumi/env.conf");
    const owner = pods.begin("sleep", "600");
    const [one, two] = await Promise.all([
      envUp(fleet, pods, "one", conf),
      envUp(fleet, pods, "two", conf, "--owner", String(owner.pid)),
    ]);
    const portsOf = ({ routers, monitors, statusNodes, dataNodes }: Environment): number[] =>
      [...routers, ...monitors, ...statusNodes, ...dataNodes].map(({ port }) => port);
    const all = [...portsOf(one), ...portsOf(two)];
    expect(all).toHaveLength(10);
    expect(new Set(all).size).toBe(10);
    const at = (env: Environment, ...args: string[]): Promise<string> =>
      pods.run("redis-cli", "-u", env.routerUrls[0] ?? "", ...args);
    expect(await at(one, "SET", "whose", "one")).toMatch("OK");
    expect(await at(two, "GET", "whose")).toBe("\n");
    expect(await twineEnv(fleet, pods, "list")).toMatch(/one: running, [^]*two: running, /);
    await expect(twineEnv(fleet, pods, "chaos", "one")).rejects.toThrow(/not to containers/);

    expect(await containersOf("env-one")).toBe(7);
    await twineEnv(fleet, pods, "down", "one");
    expect(await containersOf("env-one")).toBe(0);
    // What its owner leaves: the keeper sees it.
    owner.kill("SIGKILL");
    await until("two is gone", async () => (await containersOf("env-two")) === 0, 60_000);
    await until("its folder too", async () => (await twineEnv(fleet, pods, "list")) === "", 60_000);
    await expectNothingLeft(pods);
    const dead = twineEnv(
      fleet,
      pods,
      ...["up", "x", "--conf", conf, "--engine", "unix:///nowhere"],
    );
    await expect(dead).rejects.toThrow(/no Docker engine answers at unix:\/\/\/nowhere/);
    expect(await twineEnv(fleet, pods, "list")).toBe("");
  });

  async function containersOf(prefix: string): Promise<number> {
    const filters = { name: [`^/${prefix}-`] };
    return (await fleet.host("pods").docker.listContainers({ all: true, filters })).length;
  }

  /** Each edit is one `up` that replaces nothing which takes it while it runs, and no acknowledged write is lost. */
  async function expectChanges(runner: StackRunner, conf: string): Promise<void> {
    const db1 = fleet.host("db1");
    const routers = [
      { name: "r1", host: db1.address, port: 6400 },
      { name: "r2", host: fleet.host("db2").address, port: 6410 },
    ];
    const run = beginChanges({
      ...{ fleet, runner, on: db1, confFile: conf, routers, password: PASSWORD, hosts: HOSTS },
    });
    const policy = (): Promise<string> => redisAt("db3", "a3", "CONFIG", "GET", "maxmemory-policy");
    const live = await run.change(
      "directive, replica and router",
      (text) =>
        `${text}redis maxmemory-policy allkeys-lfu\na4=data 0 db1 6669 0\nr3=router db3 6420\n`,
    );
    // The component, volume and container of the one, the component and container of the other.
    expect(live.operations).toEqual({ create: 5 });
    expect(await policy()).toMatch(/allkeys-lfu/);
    const wrong = run.change("wrong value", (text) => text.replace("allkeys-lfu", "nonsense"));
    await expect(wrong).rejects.toThrow(
      /a4 does not take redis maxmemory-policy nonsense: .*\n.*remedy/,
    );
    const back = await run.change("back, and a master removed", (text) =>
      text.replace(/redis maxmemory-policy.*\n/, "").replace(/b1=.*\n/, ""),
    );
    expect(back.operations).toEqual({ delete: 3 });
    expect(await policy()).toMatch(/noeviction/);
    await runner.stack.setConfig("twine:oldPassword", { value: PASSWORD, secret: true });
    await runner.stack.setConfig("twine:password", { value: OTHER_PASSWORD, secret: true });
    password = OTHER_PASSWORD;
    const both = await run.change("another password", (text) => text);
    for (const replaced of ["replace", "create", "delete"]) {
      expect(both.operations).not.toHaveProperty(replaced);
    }
    expect(await redis(runner, db1, "GET", "foo")).toBe("bar");
    // Errors are counted by bench/changes.ts: on a busy machine nodes are failed over for their silence.
    expect(await run.end()).toMatchObject({ lost: 0, unread: 0 });
    await runner.stack.removeConfig("twine:oldPassword");
    expect(await runner.up()).toEqual({});
    const refused = await db1.run(
      "redis-cli",
      ...loginOf("app", PASSWORD),
      "-h",
      db1.address,
      "-p",
      "6400",
      "GET",
      "foo",
    );
    expect(refused).not.toMatch(/bar/);
  }

  /** twine-plan compares containers on real hosts as it does processes, with the stack's own twine.conf. */
  async function expectPlanLive(runner: StackRunner): Promise<void> {
    const db1 = fleet.host("db1");
    const file = join(fleet.folder, "running.conf");
    const secret = join(fleet.folder, "password");
    const text = (await runner.stack.outputs())["runningConf"]?.value as string;
    await writeFile(file, text);
    await writeFile(secret, `${OTHER_PASSWORD}\n`, { mode: 0o600 });
    const plan = (): Promise<string> => {
      const bin = join(ROOT, "infra/bin/twine-plan.ts");
      const tool = `${process.execPath} ${bin} --live --conf ${file} || echo differs`;
      // As on a machine that knows the hosts by name.
      const named = `mount --bind ${join(fleet.folder, "db1/hosts")} /etc/hosts && TWINE_PASSWORD_FILE=${secret}`;
      return db1.run("unshare", "--mount", "sh", "-c", `${named} sh -c '${tool}'`);
    };
    expect(await plan()).toBe("nothing differs\n");
    await redisAt("db3", "a3", "CONFIG", "SET", "slowlog-max-len", "77");
    await writeFile(file, `${text}redis slowlog-max-len 128\n`);
    expect(await plan()).toMatch(/a3.*slowlog-max-len is 77, not 128[^]*differs/);
    await redisAt("db3", "a3", "CONFIG", "SET", "slowlog-max-len", "128");
  }

  /** redis-cli inside a node's container. */
  async function redisAt(host: string, node: string, ...args: string[]): Promise<string> {
    const at = fleet.host(host);
    const port = /=data \d+ \S+ (\d+)/.exec(confLine(node))?.[1] ?? "";
    const cli = ["exec", `production-${node}`, "redis-cli", "-h", at.address, "-p", port];
    return at.run("docker", "-H", at.endpoint, ...cli, ...loginOf("monitor", password), ...args);
  }

  function loginOf(user: RedisUser, password: string): string[] {
    const derived = credentialsOf(user, password)?.password ?? "";
    return ["--no-auth-warning", "--user", user, "--pass", derived];
  }

  function confLine(node: string): string {
    const text = readFileSync(join(ROOT, "examples/three-hosts.conf"), "utf8");
    return text.split("\n").find((line) => line.startsWith(`${node}=`)) ?? "";
  }

  /** Neither the password nor any that is made of it, in the state, a container's environment, labels or command. */
  async function expectNoSecret(runner: StackRunner): Promise<void> {
    const users: readonly RedisUser[] = [
      "app",
      "router",
      "monitor",
      "replica",
      "health",
      "rotation",
    ];
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
