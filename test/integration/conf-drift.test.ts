// conf-drift.test.ts: monitors, routers and tools whose twine.conf is not the adopted one, as real processes.
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { FaultCluster } from "../support/fault-cluster.ts";
import { onePartition, startedCluster } from "../support/one-partition.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { runTool } from "../support/run-tool.ts";
import { TwineProcess } from "../support/twine-process.ts";
import { canonicalConf } from "../../runtime/core/conf/digest.ts";

const CONF = onePartition({ dataNodes: 2, monitors: 3 }, "cluster drift", "down-after 2s");

/** Writes another twine.conf beside the cluster's own and answers its path. */
async function otherConf(cluster: FaultCluster, change: (text: string) => string): Promise<string> {
  const file = join(dirname(cluster.config.file), "other.conf");
  await writeFile(file, change(canonicalConf(cluster.config)));
  return file;
}

function started(bin: "twined" | "twine-router", name: string, file: string): TwineProcess {
  const program = new TwineProcess(bin, name, file);
  onTestFinished(async () => {
    await program.end("SIGKILL");
  });
  return program;
}

describe.skipIf(isMissing("redis-server"))("another twine.conf than the adopted one", () => {
  test("a fresh monitor leads when it must, by the adopted file, and overwrites nothing", async () => {
    const cluster = await startedCluster(CONF);
    const adopted = (await cluster.view())?.confDigest;
    const file = await otherConf(cluster, (text) =>
      text.replace(/^down-after.*$/m, "down-after 3s"),
    );
    // m1 is replaced by one with the other file, and the rest is gone: somebody has to lead.
    await cluster.kill("m1", "m2", "m3");
    const monitor = started("twined", "m1", file);
    const before = (await cluster.view())?.epoch ?? 0;
    const view = await cluster.viewWhere("m1 leads", ({ alpha, epoch, nodes }) => {
      const own = nodes.find(({ name }) => name === "m1");
      return alpha === "m1" && epoch > before && own?.otherConf === true;
    });
    expect(view.confDigest).toBe(adopted);
    await until("it says which lines differ", () => monitor.log.includes('"differs":true'));
    expect(monitor.log).toContain('only this twine.conf says \\"down-after 3s\\"');
    expect(monitor.log).toContain('only the adopted one says \\"down-after 2s\\"');
    const health = (await (
      await fetch(`http://127.0.0.1:${cluster.port("m1")}/healthz`)
    ).json()) as { readonly ok: boolean; readonly confDiffers: string };
    expect(health.ok).toBe(true);
    expect(health.confDiffers).toContain("down-after 3s");
    // The adopted text still lies beside the view, and those with the adopted file see what m1 holds.
    const { out } = await runTool("runtime", "twine-status", cluster.config.file, "conf");
    expect(out).toBe(canonicalConf(cluster.config));
    const status = await runTool("runtime", "twine-status", cluster.config.file);
    expect(status.out.replaceAll(/\s+/g, " ")).toContain(
      "m1 holds another twine.conf than the adopted one",
    );
    const other = await runTool("runtime", "twine-status", file);
    expect(other.out.replaceAll(/\s+/g, " ")).toContain("is not the adopted one: only this");
    await cluster.viewWhere("m2 and m3 are dead", ({ nodes }) =>
      nodes.every(({ name, role }) => (name === "m2" || name === "m3") === (role === "dead")),
    );
    expect((await cluster.view())?.confDigest).toBe(adopted);
    // One more that holds it makes a majority.
    started("twined", "m2", file);
    await cluster.viewWhere("it is adopted", ({ confDigest }) => confDigest !== adopted);
    const now = await runTool("runtime", "twine-status", file, "conf");
    expect(now.out).toContain("down-after 3s");
  });

  test("a router with another file says which lines differ, and when it is the adopted one again", async () => {
    const cluster = await startedCluster(CONF);
    const file = await otherConf(cluster, (text) => text.replace(/^hold-for.*$/m, "hold-for 7s"));
    await cluster.kill("r1");
    const router = started("twine-router", "r1", file);
    await until("it says so", () => router.log.includes("this twine.conf is not the adopted one"));
    expect(router.log).toContain('only this twine.conf says \\"hold-for 7s\\"');
    await writeFile(file, canonicalConf(cluster.config));
    router.signal("SIGHUP");
    await until("it is the same again", () =>
      router.says("this twine.conf is the adopted one again"),
    );
  });
});
