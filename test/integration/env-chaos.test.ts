// env-chaos.test.ts: twine-env chaos on a real environment: a report, a loss that it finds, and nodes that go on however it
// ends.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { ChaosReport } from "../../infra/env/chaos/report-page.ts";
import { startCluster, type RunningCluster } from "../../infra/env/start-cluster.ts";
import { binPath } from "../support/bins.ts";
import { until } from "../support/redis-server.ts";
import { runCommand, type Ran } from "../support/run-tool.ts";

const BIN = binPath("twine-env", "infra");
/** By this seed the first fault on CONF is a pause of some seconds. */
const PAUSE_SEED = "28";

/** Two copies of one partition are all that may fail: a fault is one to them. */
const CONF = [
  "a1=data 0 db1 6666 0",
  "a2=data 0 db2 6666 0",
  "s1=status db1 6401 0",
  "m1=monitor db2 7601",
  "r1=router db2 6400",
  "ack-replicas 1",
  "redis appendonly yes",
].join("\n");

describe.skipIf(process.platform !== "linux")("faults on an environment", () => {
  let folder = "";
  let cluster: RunningCluster;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "twine-chaos-"));
    process.env["TWINE_ENVS"] = join(folder, "envs");
    cluster = await startCluster({ confText: CONF, name: "storm", waitMs: 120_000 });
  }, 150_000);

  afterAll(async () => {
    await cluster.stop();
    delete process.env["TWINE_ENVS"];
    await rm(folder, { recursive: true, force: true });
  });

  function chaos(...args: string[]): Promise<Ran> {
    return runCommand(process.execPath, [BIN, "chaos", ...args, "--no-cuts"], { cwd: folder });
  }

  function begun(...args: string[]): { child: ChildProcess; paused: Promise<unknown> } {
    const child = spawn(process.execPath, [BIN, "chaos", "storm", "--no-cuts", ...args], {
      cwd: folder,
      stdio: ["ignore", "ignore", "pipe"],
    });
    onTestFinished(() => {
      child.kill("SIGKILL");
    });
    child.stderr.resume();
    return { child, paused: until("a node is paused", async () => !(await isWhole()), 60_000) };
  }

  /** Whether every data node's process runs, and none is stopped (T in /proc). */
  async function isWhole(): Promise<boolean> {
    for (const { host, name } of cluster.dataNodes) {
      const file = join(cluster.folder, "partitions", host, name, "pid");
      const pid = (await readFile(file, "utf8")).trim();
      const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
      if (!/\) [RSD] /.test(stat)) return false;
    }
    return true;
  }

  test("a run: the same faults by the same seed, a report as JSON and HTML", async () => {
    const { code, stderr, stdout } = await chaos("storm", "--minutes", "0.2", "--seed", "7");
    const text = await readFile(join(folder, "chaos-storm/report.json"), "utf8");
    const report = JSON.parse(text) as ChaosReport;
    expect(report.faults.length).toBeGreaterThan(0);
    expect(stderr.trim().split("\n")).toHaveLength(report.faults.length);
    expect(report.acknowledged).toBeGreaterThan(100);
    expect(report).toMatchObject({ seed: 7, lost: 0, staleReads: 0, unread: 0, brokenOff: null });
    expect(report.verdicts.map(({ name, kept }) => [name, kept])).toEqual([
      ["lost", true],
      ["stale", true],
      ["errors", true],
      ["recovery", true],
    ]);
    expect(code, stdout).toBe(0);
    expect(stdout).toContain("left alone: the network");
    const page = await readFile(join(folder, "chaos-storm/report.html"), "utf8");
    expect(page).toContain("storm: promises kept");
    expect(await isWhole()).toBe(true);
  });

  test("a write that somebody removes is found: exit 3", async () => {
    const running = chaos("storm", "--minutes", "0.1", "--seed", "3", "--json");
    const [router] = cluster.routers;
    const client = new Redis({ ...router });
    onTestFinished(() => {
      client.disconnect();
    });
    let removed = "";
    const remove = async (): Promise<boolean> => {
      // One client's earliest keys: the run has begun when they are there.
      const [, keys] = await client.scan("0", "MATCH", "chaos:*:key:5", "COUNT", 10_000);
      const own = keys.toSorted().at(-1) ?? "";
      const [, stamp = "0"] = own.split(":");
      if (Number(stamp) < beganAtMs) return false;
      removed = own;
      return (await client.del(own)) === 1;
    };
    const beganAtMs = Date.now();
    await until("a key is removed", remove, 60_000);
    const { code, stdout } = await running;
    expect(code, stdout).toBe(3);
    const report = JSON.parse(stdout) as ChaosReport;
    expect(report.lost).toBe(1);
    expect(report.lostKeys).toEqual([removed]);
  });

  test("Ctrl-C, and kill -9, in the middle of a pause: the node goes on", async () => {
    for (const signal of ["SIGINT", "SIGKILL"] as const) {
      const { child, paused } = begun("--minutes", "1", "--seed", PAUSE_SEED);
      await paused;
      child.kill(signal);
      const [code] = (await once(child, "exit")) as [number | null];
      expect(code).toBe(signal === "SIGINT" ? 130 : null);
      await until("the node goes on", isWhole, 30_000);
    }
    const text = await readFile(join(folder, "chaos-storm/report.json"), "utf8");
    expect((JSON.parse(text) as ChaosReport).isInterrupted).toBe(true);
  });

  test("refused: an environment that there is not, one of other hosts, a twine.conf, two runs at once", async () => {
    const unknown = await chaos("strom", "--minutes", "0.1");
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toContain("did you mean storm?");
    const byConf = await chaos("storm", "--conf", cluster.conf);
    expect(byConf.code).toBe(2);

    const { child, paused } = begun("--minutes", "1", "--seed", PAUSE_SEED);
    await paused;
    const second = await chaos("storm", "--minutes", "0.1");
    expect(second.code).toBe(1);
    expect(second.stderr).toContain("another run does faults to storm");
    child.kill("SIGINT");
    await once(child, "exit");

    const text = await readFile(cluster.conf, "utf8");
    const [{ host } = { host: "" }] = cluster.dataNodes;
    await writeFile(cluster.conf, text.replaceAll(host, "10.1.2.3"));
    const foreign = await chaos("storm", "--minutes", "0.1");
    expect(foreign.code).toBe(1);
    expect(foreign.stderr).toContain("may be another cluster's");
    await writeFile(cluster.conf, text);
  });
});
