// What goes wrong with `pulumi up` on real Docker engines: each time one clear error with the remedy, a state from which
// the next `up` recovers, and the data still there.
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { REDIS_IMAGE, importBaseImages } from "../support/base-images.ts";
import { startEngines, type EngineFleet, type EngineHost } from "../support/docker-engines.ts";
import { until } from "../support/redis-server.ts";
import { expectNothingLeft, hostsConfig, openShipped, redis, untilOk } from "./cluster-probe.ts";
import { isMissingForPulumi } from "./requirements.ts";
import type { StackConfig, StackRunner } from "./stack-runner.ts";

const PASSWORD = { value: "correct-horse-battery", secret: true };

/** One partition of two nodes on two hosts: the smallest cluster with a replica. */
const CONF = [
  "a1=data 0 db1 6666 0",
  "a2=data 0 db2 6667 0",
  "s1=status db1 6401 0",
  "m1=monitor db2 7601",
  "r1=router db1 6400",
  "redis appendonly yes",
];

describe.skipIf(isMissingForPulumi())("pulumi up, when something is wrong", () => {
  let fleet: EngineFleet;
  let pods: EngineHost;
  const opened: StackRunner[] = [];

  beforeAll(async () => {
    fleet = await startEngines(["pods", "db1", "db2"]);
    pods = fleet.host("pods");
    await importBaseImages([pods, fleet.host("db1"), fleet.host("db2")], fleet.folder);
  });

  afterEach(async () => {
    for (const runner of opened.splice(0)) await runner.destroy();
  });

  afterAll(async () => {
    await fleet.stop();
  });

  /** A stack of CONF and `more` lines; without other places as pods. */
  async function open(
    name: string,
    places: StackConfig = { "twine:engine": { value: pods.endpoint } },
    more: readonly string[] = [],
  ): Promise<StackRunner> {
    const runner = await openShipped(fleet, name, { ...places, ...(await confOf(name, more)) });
    opened.push(runner);
    return runner;
  }

  async function confOf(name: string, more: readonly string[]): Promise<StackConfig> {
    await mkdir(join(fleet.folder, "confs"), { recursive: true });
    const file = join(fleet.folder, "confs", `${name}.conf`);
    await writeFile(file, `${[...CONF, ...more].join("\n")}\n`);
    return { "twine:conf": { value: file } };
  }

  const realHosts = (): StackConfig => ({
    ...hostsConfig(fleet, ["db1", "db2"]),
    "twine:password": PASSWORD,
  });

  async function failure(running: Promise<unknown>): Promise<string> {
    return running.then(
      () => "it did not fail",
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
  }

  test("wrong keys are told together, without a stack trace, and nothing is made; mended, it goes on", async () => {
    const runner = await open("mistaken", realHosts());
    for (const key of ["docker", "address"]) {
      await runner.stack.removeConfig(`twine:hosts.db2.${key}`, true);
    }
    await runner.stack.removeConfig("twine:hosts.db2", true);
    const wrong: StackConfig = {
      "twine:pasword": { value: "word" },
      "twine:password": { value: "two words", secret: true },
      "twine:smtpPassword": { value: "in clear" },
      "twine:protectData": { value: "maybe" },
      "twine:labels": { value: "storage" },
    };
    await runner.stack.setAllConfig({ ...wrong });
    for (const told of [await failure(runner.preview()), await failure(runner.up())]) {
      expect(told).toMatch(/twine:pasword is not .*did you mean twine:password\?\n/);
      expect(told).toMatch(/twine:password must be one word.*\n.*config set --secret/);
      expect(told).toMatch(/twine:smtpPassword is set, and .* alert-smtp names no user/);
      expect(told).toMatch(/twine:smtpPassword can be read in Pulumi\.mistaken\.yaml/);
      expect(told).not.toMatch(/twine:password can be read/);
      expect(told).toMatch(/twine:labels must be an object, .* and is a text\n.*example: pulumi/);
      expect(told).toMatch(/twine:protectData must be true or false, and is "maybe"\n.*example/);
      expect(told).toMatch(
        /twine:hosts has no endpoint for db2, which twine\.conf names\n.*'twine:hosts\["db2"\]' ssh:/,
      );
      expect(told).not.toMatch(/unhandled|two words|at checkSettings/);
      expect(told.match(/did you mean/g)).toHaveLength(1);
    }
    // The stack itself, and not even the component of the cluster.
    expect(await runner.stateText()).not.toMatch(/twine:docker:/);
    await runner.stack.removeConfig("twine:pasword");
    await runner.stack.removeConfig("twine:smtpPassword");
    await runner.stack.removeConfig("twine:labels");
    await runner.stack.setConfig("twine:protectData", { value: "false" });
    await runner.stack.setConfig("twine:password", PASSWORD);

    await runner.stack.setAllConfig(
      { "twine:hosts.db2.docker": { value: "unix:///nowhere/docker.sock" } },
      true,
    );
    expect(await failure(runner.up())).toMatch(
      /twine:hosts\["db2"\] unix:\/\/\/nowhere\/docker\.sock: no Docker engine answers .*\n.*remedy: .*'twine:hosts\["db2"\]' ssh:\/\/root@db2/,
    );
    await runner.stack.setAllConfig(
      { ...hostsConfig(fleet, ["db2"]), "twine:redisImage": { value: "nowhere.invalid/none:1" } },
      true,
    );
    const noImage = await failure(runner.up());
    expect(noImage).toMatch(/unable to pull image nowhere\.invalid\/none:1/);
    expect(noImage).toMatch(
      /twine:redisImage nowhere\.invalid\/none:1 can't be created on db[12]\n.*remedy: .*config set twine:redisImage/,
    );
    for (const host of ["db1", "db2"]) {
      expect(await fleet.host(host).docker.listContainers({ all: true })).toEqual([]);
    }
    await runner.stack.setConfig("twine:redisImage", { value: REDIS_IMAGE });
    await runner.up();
    await untilOk(runner, fleet.host("db1"));
  });

  test("a taken port, another cluster's volume: told with the container's own words, mended, up again", async () => {
    // Method: both at the same time, since each costs the two minutes that `up` waits for health.
    const db1 = fleet.host("db1");
    const listen = 'require("node:net").createServer().listen(6401,()=>console.log("taken"))';
    const squatter = db1.begin(process.execPath, "-e", listen);
    await once(squatter.stdout ?? squatter, "data");
    const taken = await open("taken", realHosts());
    const foreign = await open("foreign");
    await foreign.stack.setConfig("twine:protectData", { value: "true" });
    const volume = await pods.docker.createVolume({ Name: "foreign-s1" });
    const { Mountpoint: folder } = await volume.inspect();
    await writeFile(join(folder, "twine-stamp"), "cluster somebody-elses\n");
    await writeFile(join(folder, "dump.rdb"), "precious");
    const [portTaken, notOurs] = await Promise.all([failure(taken.up()), failure(foreign.up())]);

    expect(portTaken).toMatch(/s1 can't be created \(container taken-s1 on db1\)/);
    expect(portTaken).toMatch(/Address already in use/);
    expect(portTaken).toMatch(/remedy: another program on db1 has a port of s1/);
    squatter.kill("SIGKILL");
    await once(squatter, "exit");
    // What did not get healthy is made anew, not called updated and passed over.
    expect(await taken.up()).toMatchObject({ replace: 1 });
    await untilOk(taken, db1);

    expect(notOurs).toMatch(/the volume at \/data belongs to 'cluster somebody-elses'/);
    const [, container = "", inState = ""] =
      /destroy --target-dependents --target '([^']+)' \([^)]*\), then pulumi state delete --force '([^']+)'/.exec(
        notOurs,
      ) ?? [];
    await foreign.pulumi("destroy", "--yes", "--target-dependents", "--target", container);
    await foreign.pulumi("state", "delete", "--force", inState, "--yes");
    await foreign.pulumi("state", "unprotect", "--all", "--yes");
    await foreign.destroy();
    const left = (await pods.docker.listVolumes()).Volumes.map((one) => one.Name).sort();
    // Its own were kept, too: that is what twine:protectData says.
    expect(left).toEqual(["foreign-a1", "foreign-a2", "foreign-m1", "foreign-s1"]);
    for (const name of left) await pods.docker.getVolume(name).remove();
  });

  test("a published port that a program outside Docker has is warned of in the preview", async () => {
    const held = createServer().listen(0, "127.0.0.1");
    await once(held, "listening");
    const { port } = held.address() as AddressInfo;
    try {
      const runner = await open("held", {
        "twine:engine": { value: pods.endpoint },
        "twine:publish": { value: JSON.stringify([`r1=${port}`]) },
      });
      const said = await runner.pulumi("preview");
      expect(said).toContain(`r1 is to be published as 127.0.0.1:${port}`);
      expect(said).toMatch(/a program outside Docker has that port[^]*remedy: `ss -ltnp`/);
    } finally {
      held.close();
    }
  });

  test("another engine, a dead one: refused while there is something to lose, and destroy goes on working", async () => {
    const runner = await open("moved");
    await runner.up();
    await untilOk(runner, pods);
    expect(await redis(runner, pods, "SET", "foo", "bar")).toBe("OK");
    const db1 = fleet.host("db1");
    await runner.stack.setConfig("twine:engine", { value: db1.endpoint });
    for (const told of [await failure(runner.preview()), await failure(runner.up())]) {
      expect(told).toContain(
        `twine:engine ${db1.endpoint} is another Docker engine, and this stack's containers and data are on ${pods.endpoint}`,
      );
      const back = `pulumi config set twine:engine ${pods.endpoint}`;
      expect(told).toContain(`remedy: name the old one again: ${back}`);
    }
    expect(await db1.docker.listContainers({ all: true })).toEqual([]);

    // The same engine by another address is another way to it and no more.
    const another = join(fleet.folder, "another.sock");
    await symlink(pods.endpoint.replace("unix://", ""), another);
    await runner.stack.setConfig("twine:engine", { value: `unix://${another}` });
    expect(await runner.up()).toEqual({ update: 1 });
    expect(await redis(runner, pods, "GET", "foo")).toBe("bar");

    await runner.stack.setConfig("twine:engine", { value: "unix:///nowhere/docker.sock" });
    expect(await failure(runner.up())).toMatch(/twine:engine .*: no Docker engine answers there/);
    await runner.destroy();
    await expectNothingLeft(pods);
  });

  test("an interrupted up: the next one goes on, after kill -9 once what it left is removed as it says", async () => {
    const runner = await open("cut");
    const interrupted = runner.beginUp();
    await until("the first node is made", () => has("cut-s1"), 180_000);
    interrupted.kill("SIGINT");
    await once(interrupted, "exit");
    await runner.up();
    await untilOk(runner, pods);
    expect(await redis(runner, pods, "SET", "foo", "bar")).toBe("OK");

    await confOf("cut", ["redis tcp-backlog 100"]);
    const before = await idOf("cut-a2");
    const killed = runner.beginUp();
    // Created by the engine and in no state yet: it waits for its health.
    await until(
      "a2 is made anew",
      async () => ![before, ""].includes(await idOf("cut-a2")),
      180_000,
    );
    killed.kill("SIGKILL");
    await once(killed, "exit");
    expect(await failure(runner.up())).toMatch(/currently locked/);
    await runner.pulumi("cancel", "--yes");
    const told = await failure(runner.up());
    expect(told).toMatch(/a2 can't be created \(container cut-a2 on db2\)/);
    expect(told).toMatch(/interrupted `pulumi up` of this stack left it.*: docker rm -f cut-a2/);
    await pods.docker.getContainer("cut-a2").remove({ force: true });
    await runner.up();
    await untilOk(runner, pods);
    expect(await redis(runner, pods, "GET", "foo")).toBe("bar");
    expect(await runner.up()).toEqual({});
  });

  async function idOf(container: string): Promise<string> {
    return pods.docker
      .getContainer(container)
      .inspect()
      .then(
        (found) => found.Id,
        () => "",
      );
  }

  async function has(container: string): Promise<boolean> {
    return (await idOf(container)) !== "";
  }

  test("another password: every node gets it, the data stays; a protected volume is refused, kept and told", async () => {
    const db1 = fleet.host("db1");
    const runner = await open("kept", realHosts());
    await runner.stack.setConfig("twine:protectData", { value: "true" });
    await runner.up();
    await untilOk(runner, db1);
    expect(await redis(runner, db1, "SET", "foo", "bar")).toBe("OK");
    await runner.stack.setConfig("twine:password", { value: "another-word", secret: true });
    await runner.up();
    await untilOk(runner, db1);
    expect(await redis(runner, db1, "GET", "foo")).toBe("bar");
    const old = ["--no-auth-warning", "--user", "app", "--pass", PASSWORD.value];
    const asked = await db1.run("redis-cli", ...old, "-h", db1.address, "-p", "6400", "GET", "foo");
    expect(asked).not.toMatch(/bar/);

    const kept = (await runner.stack.outputs())["keptVolumes"]?.value as { volume: string }[];
    expect(kept.map(({ volume }) => volume)).toEqual(["kept-a1", "kept-a2", "kept-m1", "kept-s1"]);
    expect(await failure(runner.pulumi("destroy", "--yes"))).toMatch(
      /cannot be deleted\s+because it is protected/,
    );
    await untilOk(runner, db1);
    await runner.pulumi("destroy", "--yes", "--exclude-protected");
    const volumes = (await db1.docker.listVolumes()).Volumes.map((one) => one.Name);
    expect(volumes.sort()).toEqual(["kept-a1", "kept-s1"]);
    await runner.up();
    await untilOk(runner, db1);
    expect(await redis(runner, db1, "GET", "foo")).toBe("bar");
    await runner.stack.setConfig("twine:protectData", { value: "false" });
    await runner.up();
    await runner.destroy();
    for (const host of ["db1", "db2"]) await expectNothingLeft(fleet.host(host));
  });
});
