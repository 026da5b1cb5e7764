// The test engines themselves: what a killed run leaves is swept by the next one, and what cuts the power of a host.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { readFile, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { startTimeOf } from "../../infra/local/processes/processes.ts";
import { REDIS_IMAGE, importBaseImages } from "../support/base-images.ts";
import { CONTAINER_GROUP } from "../support/container-shares.ts";
import { startEngines, type EngineFleet, type EngineHost } from "../support/docker-engines.ts";
import { isMissingForPulumi } from "./requirements.ts";

/** A run of its own: engines, a container in a namespace of its own and one in its host's, then waits to be killed. */
const RUN = `
  const { startEngines } = await import(process.argv[1] + "/docker-engines.ts");
  const { importBaseImages, REDIS_IMAGE } = await import(process.argv[1] + "/base-images.ts");
  const fleet = await startEngines(["pods", "db1"]);
  const hosts = ["pods", "db1"].map((name) => fleet.host(name));
  await importBaseImages(hosts, fleet.folder);
  for (const host of hosts) {
    const NetworkMode = host.name === "pods" ? "bridge" : "host";
    const one = await host.docker.createContainer({ Image: REDIS_IMAGE, HostConfig: { NetworkMode } });
    await one.start();
    console.log((await one.inspect()).State.Pid);
  }
  setInterval(() => undefined, 1000);
`;

describe.skipIf(isMissingForPulumi())("the engines of the tests", () => {
  let fleet: EngineFleet | undefined;

  afterEach(async () => {
    await fleet?.stop();
    fleet = undefined;
  });

  async function startRedis(host: EngineHost): Promise<number> {
    const HostConfig = { RestartPolicy: { Name: "unless-stopped" } };
    const options = { name: "redis", Image: REDIS_IMAGE, HostConfig };
    const container = await host.docker.createContainer(options);
    await container.start();
    return (await container.inspect()).State.Pid;
  }

  test("what a run leaves that was killed with -9 is gone once the next one has begun", async () => {
    const support = join(import.meta.dirname, "../support");
    const args = ["--input-type=module", "-e", RUN, support];
    const other = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    let said = "";
    const ready = new Promise<void>((resolve) => {
      other.stdout.on("data", (chunk: Buffer) => {
        said += chunk.toString();
        if (said.trim().split("\n").length === 2) resolve();
      });
    });
    await Promise.race([ready, once(other, "exit")]);
    const containers = said.trim().split("\n").map(Number);
    expect(await running(containers)).toHaveLength(2);
    const killed = once(other, "exit");
    other.kill("SIGKILL");
    await killed;
    expect(await running(containers)).toHaveLength(2);

    fleet = await startEngines(["db1"]);
    expect(await running(containers)).toEqual([]);
    const spaces = await readdir("/run/netns");
    expect(spaces.filter((name) => name.startsWith(`twine-${other.pid}-`))).toEqual([]);
    expect(existsSync(join(tmpdir(), `twine-engines-${other.pid}`))).toBe(false);
  });

  test("containers have a group of their own, with more processor time than one process has", async () => {
    fleet = await startEngines(["db1"]);
    const host = fleet.host("db1");
    await importBaseImages([host], fleet.folder);
    const pid = await startRedis(host);
    expect(await readFile(`/proc/${pid}/cgroup`, "utf8")).toContain(`${CONTAINER_GROUP}/`);
    const files = ["cpu/GROUP/cpu.shares", "GROUP/cpu.weight"].map((file) =>
      join("/sys/fs/cgroup", file.replace("GROUP", CONTAINER_GROUP)),
    );
    const shares = files
      .filter((file) => existsSync(file))
      .map((file) => readFileSync(file, "utf8"));
    for (const share of shares) expect(Number(share)).toBeGreaterThan(1024);
  });

  test("a host that lost its power has its containers again once it is back", async () => {
    fleet = await startEngines(["pods"]);
    const pods = fleet.host("pods");
    await importBaseImages([pods], fleet.folder);
    const before = await startRedis(pods);
    await pods.kill();
    expect(await isRunning(before)).toBe(false);
    await pods.start();
    const { State: state } = await pods.docker.getContainer("redis").inspect();
    expect(state.Status).toBe("running");
    expect(state.Pid).not.toBe(before);
  });
});

/** A zombie, whose parent has not asked for its end yet, has ended. */
async function isRunning(pid: number): Promise<boolean> {
  return (await startTimeOf(pid)) !== undefined;
}

async function running(pids: readonly number[]): Promise<number[]> {
  const answers = await Promise.all(pids.map(isRunning));
  return pids.filter((_pid, index) => answers[index]);
}
