// other-settings.test.ts: a `redis` line that was changed after the nodes were started is shown by twine-status until they
// have it, whoever started them and wherever they run.
import { describe, expect, test } from "vitest";
import { MonitoredCluster } from "../support/monitored-cluster.ts";
import { isMissing } from "../support/programs.ts";

describe.skipIf(isMissing("redis-server"))("a changed redis line", () => {
  test("is shown for every node that runs without it, with both values, until it has it", async () => {
    const dataSettings = ["maxmemory 104857600", "maxmemory-policy allkeys-lru"];
    const cluster = await MonitoredCluster.create({
      partitions: 1,
      nodesPerPartition: 2,
      dataSettings,
    });
    const conf = cluster.conf;
    const lines = (memory: string): string =>
      `${conf}redis maxmemory ${memory}\nredis maxmemory-policy allkeys-lru\n`;
    await cluster.writeConf(lines("100mb"));
    cluster.startMonitors();
    await cluster.viewWhere("OK", ({ state }) => state === "OK");
    expect((await cluster.run("twine-status")).out).toContain("Nothing is wrong.");

    await cluster.writeConf(lines("200mb"));
    cluster.signalMonitors("SIGHUP");
    const view = await cluster.viewWhere("both nodes are shown", ({ nodes }) =>
      ["p0-1", "p0-2"].every((name) =>
        nodes.some((node) => node.name === name && "otherSettings" in node),
      ),
    );
    // What runs is well.
    expect(view.state).toBe("OK");
    const { out, code } = await cluster.run("twine-status");
    expect(code).toBe(0);
    expect(out.replace(/\s+/g, " ")).toContain(
      "p0-1 runs with other settings than the redis lines of twine.conf: maxmemory is 104857600, not 200mb",
    );
    expect(out).toContain(
      "remedy: twine-apply on host localhost; where it is a container: pulumi up",
    );
    const list = JSON.parse((await cluster.run("twine-status", "json")).out) as {
      problems: { code: string; severity: string; subject: string }[];
    };
    expect(list.problems.map(({ code, severity, subject }) => [code, severity, subject])).toEqual([
      ["OTHER_SETTINGS", "NOTE", "p0-1"],
      ["OTHER_SETTINGS", "NOTE", "p0-2"],
    ]);
    expect((await cluster.run("twine-status", "xml")).out).toContain('otherSettings="maxmemory is');

    for (const name of ["p0-1", "p0-2"]) {
      await (await cluster.node(name).link()).call("CONFIG", "SET", "maxmemory", "200mb");
    }
    await cluster.viewWhere("nothing is shown any more", ({ nodes }) =>
      nodes.every((node) => !("otherSettings" in node)),
    );
  });
});
