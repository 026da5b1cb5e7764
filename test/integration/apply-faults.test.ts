// apply-faults.test.ts: twine-apply that is killed, interrupted or refused, and what tells that it is needed.
import { spawn, type ChildProcess } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { binPath } from "../support/bins.ts";
import { FaultCluster } from "../support/fault-cluster.ts";
import { onePartition, startedWriter } from "../support/one-partition.ts";
import { freePort } from "../support/port-claims.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { runTool, type ToolRan } from "../support/run-tool.ts";

const CONF = onePartition(
  { dataNodes: 3, monitors: 3 },
  "cluster applied",
  "redis tcp-backlog 200",
);
const WITHIN_MS = 180_000;
const DATA = ["a1", "a2", "a3"];

describe.skipIf(isMissing("redis-server"))("twine-apply", { timeout: WITHIN_MS }, () => {
  let cluster: FaultCluster;
  let shipped: string;

  beforeAll(async () => {
    cluster = await FaultCluster.create(CONF);
    await cluster.start();
    shipped = await readFile(cluster.config.file, "utf8");
  }, WITHIN_MS);
  afterAll(() => cluster.remove());

  const apply = (...args: string[]): Promise<ToolRan> =>
    runTool("infra", "twine-apply", cluster.config.file, ...args);
  const edit = (text: string): Promise<void> => writeFile(cluster.config.file, text);
  const backlogs = (): Promise<unknown[]> =>
    Promise.all(
      DATA.map(async (name) => {
        const reply = await cluster.ask(name, "CONFIG", "GET", "tcp-backlog");
        return Array.isArray(reply) ? (reply as unknown[])[1] : reply;
      }),
    );

  /** Begins an apply, and returns when it has stopped a node. */
  async function inTheMiddle(): Promise<ChildProcess> {
    const pids = new Map<string, number>();
    for (const name of DATA) pids.set(name, await cluster.pid(name));
    const args = [binPath("twine-apply", "infra"), "--conf", cluster.config.file];
    const child = spawn(process.execPath, args, { stdio: "ignore" });
    await until("a node is stopped", async () => {
      const running = await Promise.all(
        DATA.map(
          async (name) =>
            // Between the two its pid file may go.
            (await cluster.isRunning(name)) &&
            (await cluster.pid(name).catch(() => 0)) === pids.get(name),
        ),
      );
      return running.includes(false);
    });
    return child;
  }

  const codeOf = (child: ChildProcess): Promise<number | null> =>
    new Promise((resolve) => child.once("exit", resolve));

  test("killed in the middle of a restart: the cluster serves, and the next one finishes", async () => {
    const writer = await startedWriter(cluster);
    await edit(shipped.replace("tcp-backlog 200", "tcp-backlog 201"));
    const child = await inTheMiddle();
    child.kill("SIGKILL");
    await codeOf(child);
    const count = writer.acknowledged.length;
    await until("keys are acknowledged", () => writer.acknowledged.length > count + 200);
    const { code, err } = await apply();
    expect([code, err]).toEqual([0, ""]);
    expect(await backlogs()).toEqual(["201", "201", "201"]);
    await cluster.viewWhere("OK", ({ state }) => state === "OK");
    expect(await writer.stop()).toEqual([]);
    expect(writer.errors).toEqual([]);
  });

  test("Ctrl-C finishes the node that is being changed and begins no other", async () => {
    await edit(shipped.replace("tcp-backlog 200", "tcp-backlog 202"));
    const child = await inTheMiddle();
    child.kill("SIGINT");
    expect(await codeOf(child)).toBe(130);
    for (const name of DATA) expect(await cluster.isRunning(name)).toBe(true);
    expect((await backlogs()).filter((value) => value === "202")).toHaveLength(1);
    expect((await apply()).code).toBe(0);
    expect(await backlogs()).toEqual(["202", "202", "202"]);
  });

  test("a node that does not run is started; another that is not in sync is waited for", async () => {
    await cluster.kill("a2");
    const { code, out } = await apply();
    expect([code, out]).toEqual([0, "a2: started\n1 done, 0 handovers\n"]);
    await cluster.viewWhere("OK", ({ state }) => state === "OK");

    await cluster.pause("a2");
    await cluster.viewWhere("a2 is missed", ({ state }) => state !== "OK");
    await edit(shipped.replace("tcp-backlog 200", "tcp-backlog 203"));
    const left = await apply("--wait", "2s");
    await cluster.resume("a2");
    expect(left.code).not.toBe(0);
    expect(await cluster.isRunning("a1")).toBe(true);
    expect(await cluster.isRunning("a3")).toBe(true);
    expect(await backlogs()).toEqual(["202", "202", "202"]);
    await cluster.viewWhere("OK", ({ state }) => state === "OK");
    expect((await apply()).code).toBe(0);
    expect(await backlogs()).toEqual(["203", "203", "203"]);
  });

  test.each([
    ["another hash", (text: string) => `${text}hash crc16\n`, "keys change partition"],
    [
      "a restart that leaves too few to acknowledge",
      (text: string) => `${text.replace(/tcp-backlog \d+/, "tcp-backlog 299")}ack-replicas 2\n`,
      "may lose: writes to partition 0 are refused while one of its nodes restarts",
    ],
    [
      "a value that Redis refuses",
      (text: string) => `${text}redis maxmemory-policy nonsense\n`,
      "nothing was changed. It says:",
    ],
  ])("refuses %s, and changes nothing", async (_, change, words) => {
    const before = await readFile(cluster.config.file, "utf8");
    const adopted = (await cluster.view())?.confDigest;
    await edit(change(before));
    const { code, err } = await apply();
    await edit(before);
    expect(code).toBe(1);
    expect(err).toContain(words);
    expect(err).toContain("remedy: ");
    expect((await cluster.view())?.confDigest).toBe(adopted);
    expect((await apply("--dry-run")).out).toBe("nothing to do on this machine\n");
  });

  test("status nodes of twine.conf that do not answer are named, and nothing is stopped", async () => {
    const before = await readFile(cluster.config.file, "utf8");
    const free = await freePort();
    await edit(before.replace(/^(s1=status \S+) \d+/m, `$1 ${free}`));
    const { code, err } = await apply("--wait", "1s");
    await edit(before);
    expect(code).toBe(1);
    expect(err).toContain("no majority of the status nodes of twine.conf answers");
    for (const name of [...DATA, "s1", "m1", "r1"]) {
      expect([name, await cluster.isRunning(name)]).toEqual([name, true]);
    }
    expect((await apply()).code).toBe(0);
  });

  test("twine-setup and twine-start tell that the old configuration runs, and twine-apply ends it", async () => {
    const before = await readFile(cluster.config.file, "utf8");
    await edit(`${before}redis maxmemory 500mb\n`);
    const setup = await runTool("infra", "twine-setup", cluster.config.file);
    expect(setup.err).toContain("a1, a2, a3 run with the files from before");
    expect(setup.err).toContain("m1, m2, m3, r1 run by another twine.conf");
    const start = await runTool("infra", "twine-start", cluster.config.file);
    expect(start.err).toContain("node a1 runs with other settings than its redis.conf: maxmemory");
    expect(start.err).toContain("m1, m2, m3, r1 run by another twine.conf");
    for (const { err } of [setup, start]) expect(err).toContain("remedy: run twine-apply");
    expect((await apply()).code).toBe(0);
    const again = await runTool("infra", "twine-start", cluster.config.file);
    expect(again).toMatchObject({ code: 0, err: "" });
  });
});
