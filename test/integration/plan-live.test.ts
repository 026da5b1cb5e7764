// plan-live.test.ts: twine-plan --live beside a cluster of real processes: exit 0 while they run as the file says, 3 and one
// line for each thing that does not.
import { appendFile, copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { LiveDifference } from "../../infra/plan/diff-live.ts";
import type { Change } from "../../infra/plan/diff-nodes.ts";
import { canonicalConf } from "../../runtime/core/conf/digest.ts";
import { binPath } from "../support/bins.ts";
import { onePartition, startedCluster } from "../support/one-partition.ts";
import { isMissing } from "../support/programs.ts";
import { runCommand, runTool, type ToolRan } from "../support/run-tool.ts";
import { ROOT } from "../support/source-files.ts";

const CONF = onePartition(
  { dataNodes: 2, monitors: 1 },
  "cluster live",
  "redis maxmemory 100mb",
  "redis maxmemory-policy allkeys-lru",
);

interface LiveReport {
  readonly changes: readonly Change[];
  readonly live: readonly LiveDifference[];
  readonly services: readonly { readonly service: string }[];
}

function plan(file: string, ...args: string[]): Promise<ToolRan> {
  return runTool("infra", "twine-plan", file, "--live", ...args);
}

async function reportOf(file: string): Promise<LiveReport> {
  const { code, out, err } = await plan(file, "--json");
  expect(code, err).toBe(3);
  return JSON.parse(out) as LiveReport;
}

describe.skipIf(isMissing("redis-server"))("twine-plan --live", () => {
  test("says that nothing differs, and then each thing that does", async () => {
    const cluster = await startedCluster(CONF);
    const { file } = cluster.config;
    expect(await plan(file)).toEqual({ code: 0, out: "nothing differs\n", err: "" });

    // A node that refuses the password can't be compared: that is an error, not a difference.
    const password = join(cluster.folder, "password");
    await writeFile(password, "not-this-cluster's\n", { mode: 0o600 });
    const args = [binPath("twine-plan", "infra"), "--live", "--conf", file];
    const env = { TWINE_PASSWORD_FILE: password };
    const refused = await runCommand(process.execPath, args, { env });
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("refuses the cluster's password");

    await cluster.ask("a1", "CONFIG", "SET", "maxmemory", "200mb");
    await appendFile(cluster.path("a1", "redis.conf"), "# by hand\n");
    await cluster.kill("a2");
    const { live, changes } = await reportOf(file);
    expect(changes).toEqual([]);
    expect(live.map(({ kind, subject }) => `${kind} ${subject}`)).toEqual([
      "setting a1",
      "missing a2",
      `file ${cluster.path("a1", "redis.conf")}`,
    ]);
    expect(live[0]?.text).toContain("maxmemory is 209715200, not 100mb");
    expect(live[1]?.text).toBe(`data node a2 on localhost:${cluster.port("a2")} does not answer`);
    expect(live[2]?.text).toContain("was edited by hand");

    // The remedies are true ones.
    const setup = await runTool("infra", "twine-setup", file, "localhost", "--overwrite");
    expect(setup.code, setup.err).toBe(0);
    const start = await runTool("infra", "twine-start", file, "a2");
    expect(start.code, start.err).toBe(0);
    await cluster.ask("a1", "CONFIG", "SET", "maxmemory", "100mb");
    await cluster.viewWhere("OK again", ({ state }) => state === "OK");
    expect((await plan(file)).out).toBe("nothing differs\n");
  });

  test("a file that is not the adopted one: what adopting it changes, by the present master", async () => {
    const cluster = await startedCluster(CONF);
    await runTool("runtime", "twine-failover", cluster.config.file, "a2");
    await cluster.viewWhere("a2 is master", (view) => view.partitions[0]?.master === "a2");
    await cluster.viewWhere("OK", ({ state }) => state === "OK");
    const other = join(dirname(cluster.config.file), "other.conf");
    const text = canonicalConf(cluster.config)
      .replace(/^a2=.*$/m, "")
      .replace(/^redis maxmemory .*$/m, "redis maxmemory 300mb");
    await writeFile(other, text);
    const { changes, live, services } = await reportOf(other);
    expect(changes.map(({ subject }) => subject)).toContain("a2");
    expect(changes.find(({ subject }) => subject === "a2")?.text).toContain("master");
    expect(changes.map(({ subject }) => subject).join()).toContain("maxmemory");
    expect(services.map(({ service }) => service)).not.toContain("m1");
    expect(live.map(({ kind, subject }) => `${kind} ${subject}`)).toEqual(
      expect.arrayContaining(["setting a1", "left a2"]),
    );
    const words = await plan(other);
    expect(words.out).toContain("the cluster runs by another twine.conf");
    expect(words.code).toBe(3);
  });

  test("of a cluster that does not run, everything is missing", async () => {
    const cluster = await startedCluster(CONF);
    await cluster.stop();
    const { live } = await reportOf(cluster.config.file);
    expect(live[0]).toMatchObject({ kind: "view", subject: "status nodes" });
    expect(live.filter(({ kind }) => kind === "missing")).toHaveLength(cluster.config.nodes.length);
  });

  test("--diff with a copy of the file under another name: nothing differs", async () => {
    const file = join(ROOT, "twine.conf");
    const folder = await mkdtemp(join(tmpdir(), "twine-plan-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const copy = join(folder, "old.conf");
    await copyFile(file, copy);
    const ran = await runTool("infra", "twine-plan", file, "--diff", copy);
    expect(ran).toMatchObject({ code: 0, out: "nothing differs\n" });
  });

  test("with --diff as well it is wrong usage", async () => {
    const file = join(ROOT, "twine.conf");
    const { code, err } = await plan(file, "--diff", file);
    expect(code).toBe(2);
    expect(err).toContain("--live and --diff");
  });
});
