// promtool.test.ts: Prometheus's own linter reads what a real monitor and a real router show.
import { describe, expect, test } from "vitest";
import { MonitoredCluster } from "../support/monitored-cluster.ts";
import { findProgram, isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { RouterProcess } from "../support/router-process.ts";
import { runCommand } from "../support/run-tool.ts";

/** It keeps the name by which dashboards of redis_exporter know it: docs/metrics.md says so. */
const KEPT = /^redis_rdb_last_bgsave_duration_sec /;

/** What promtool finds, line by line, without the one that is kept. */
async function found(metrics: string): Promise<string[]> {
  const promtool = findProgram("promtool") ?? "";
  const { code, stdout, stderr } = await runCommand(promtool, ["check", "metrics"], {
    input: metrics,
  });
  const lines = `${stdout}${stderr}`.split("\n").filter((line) => line !== "");
  const others = lines.filter((line) => !KEPT.test(line));
  // 3: it has found something; anything else than 0 means that it could not read it.
  expect([others, code]).toEqual([others, lines.length === 0 ? 0 : 3]);
  return others;
}

describe.skipIf(isMissing("redis-server", "promtool"))("promtool check metrics", () => {
  test("finds nothing in what a monitor shows", async () => {
    const cluster = await MonitoredCluster.create({
      partitions: 2,
      nodesPerPartition: 2,
      dataSettings: ["appendonly yes"],
    });
    cluster.startMonitors();
    await cluster.viewWhere("OK", ({ state }) => state === "OK");
    const link = await cluster.node("p0-1").link();
    await link.call("SET", "k", "v");
    await link.call("BGSAVE");
    const metrics = await (await cluster.fetch("m1", "/metrics")).text();
    expect(metrics).toContain("twine_state");
    expect(metrics).toContain("redis_rdb_last_bgsave_duration_sec");
    expect(await found(metrics)).toEqual([]);
  });

  test("finds nothing in what a router shows", async () => {
    const router = await RouterProcess.start({ partitions: 2 });
    const client = await router.client();
    expect(await client.call("SET a 1")).toBe("+OK\r\n");
    expect(await client.call("NONSENSE")).toMatch(/^-ERR/);
    // What comes before a data node has reported its commands has no name.
    await until("a command is counted by name", async () => {
      expect(await client.call("GET a")).toBe("$1\r\n1\r\n");
      return (await (await router.fetch("/metrics")).text()).includes('"get"');
    });
    const metrics = await (await router.fetch("/metrics")).text();
    expect(await found(metrics)).toEqual([]);
    client.socket.destroy();
  });
});
