// docs/upgrade.md on real servers: a running cluster gets a newer server, replicas first, under a writer whose acknowledged keys
// are all read back.
import { describe, expect, test } from "vitest";
import { isNewerVersion } from "../../runtime/core/server-versions.ts";
import type { FaultCluster } from "../support/fault-cluster.ts";
import { onePartition, startedCluster, startedWriter } from "../support/one-partition.ts";
import { until } from "../support/redis-server.ts";
import { runTool } from "../support/run-tool.ts";
import { SERVERS, folderOf, putFirstOnPath } from "../support/server-matrix.ts";

const WITHIN_MS = 300_000;
const THREE = { dataNodes: 3, monitors: 3 };

const UPGRADES = [
  ["Redis of this machine", "Redis 8.2"],
  ["Valkey 8.1", "Valkey 9.1"],
] as const;

function folderOfServer(name: string): string | undefined {
  const server = SERVERS.find((each) => each.name === name);
  return server === undefined ? undefined : folderOf(server);
}

async function versions(cluster: FaultCluster): Promise<Readonly<Record<string, string>>> {
  const nodes = (await cluster.view())?.nodes ?? [];
  const data = nodes.filter(({ kind }) => kind === "data");
  return Object.fromEntries(data.map(({ name, version = "" }) => [name, version]));
}

/** twine-stop NODE, twine-start, and OK again but for what the upgrade itself brings. */
async function restart(cluster: FaultCluster, node: string, host = "localhost"): Promise<void> {
  const { file } = cluster.config;
  const stopped = await runTool("infra", "twine-stop", file, node);
  expect(stopped).toMatchObject({ code: 0 });
  const started = await runTool("infra", "twine-start", file, host);
  expect(started).toMatchObject({ code: 0 });
  await cluster.viewWhere(`${node} in sync again`, ({ nodes }) =>
    nodes.every(({ kind, role, inSync }) => kind !== "data" || (role !== "dead" && inSync)),
  );
}

describe.each(UPGRADES)("from %s to %s", (from, to) => {
  const [older, newer] = [folderOfServer(from), folderOfServer(to)];
  const isHere = older !== undefined && newer !== undefined;

  test.skipIf(!isHere)("replicas first, the master last", { timeout: WITHIN_MS }, async () => {
    putFirstOnPath(older);
    const cluster = await startedCluster(onePartition(THREE, "ack-replicas 1"));
    const writer = await startedWriter(cluster);
    const before = await versions(cluster);
    const { master, replicas } = await cluster.partition(0);

    putFirstOnPath(newer);
    for (const replica of replicas) {
      await restart(cluster, replica);
      expect((await cluster.partition(0)).master).toBe(master);
      expect((await cluster.view())?.state).toBe("OK");
    }
    await restart(cluster, master ?? "");
    expect(replicas).toContain((await cluster.partition(0)).master);

    const after = await versions(cluster);
    for (const [name, version] of Object.entries(after)) {
      expect([name, isNewerVersion(version, before[name])]).toEqual([name, true]);
    }
    await cluster.viewWhere("OK", ({ state }) => state === "OK");
    const count = writer.acknowledged.length;
    await until("keys are acknowledged", () => writer.acknowledged.length > count + 500);
    expect(await writer.stop()).toEqual([]);
  });

  test.skipIf(!isHere)("by one twine-apply, and not back", { timeout: WITHIN_MS }, async () => {
    putFirstOnPath(older);
    const cluster = await startedCluster(onePartition(THREE, "ack-replicas 1"));
    const writer = await startedWriter(cluster);
    const { file } = cluster.config;
    const before = await versions(cluster);
    putFirstOnPath(newer);
    expect(await runTool("infra", "twine-apply", file)).toMatchObject({ code: 0, err: "" });
    await cluster.viewWhere("OK", ({ state }) => state === "OK");
    for (const [name, version] of Object.entries(await versions(cluster))) {
      expect([name, isNewerVersion(version, before[name])]).toEqual([name, true]);
    }
    expect(await runTool("infra", "twine-apply", file)).toMatchObject({
      code: 0,
      out: "0 done, 0 handovers\n",
    });
    expect(await writer.stop()).toEqual([]);
    expect(writer.errors).toEqual([]);

    putFirstOnPath(older === "" ? "/usr/bin" : older);
    const back = await runTool("infra", "twine-apply", file);
    expect(back.code).toBe(1);
    expect(back.err).toContain(
      "an older server can't be relied on to read the data of a newer one",
    );
  });

  test.skipIf(!isHere)(
    "the master dies half way and the newer replica alone has all: it serves until the older one can, and nothing is lost",
    { timeout: WITHIN_MS },
    async () => {
      putFirstOnPath(older);
      const cluster = await startedCluster(onePartition(THREE, "ack-replicas 1"));
      const writer = await startedWriter(cluster);
      const { master, replicas } = await cluster.partition(0);
      const [upgraded = "", other = ""] = replicas;
      putFirstOnPath(newer);
      await restart(cluster, upgraded);

      const since = new Date();
      // What its master has sent it so far, a paused node still reads when it wakes: it gets another connection too late.
      await cluster.pause(other);
      await cluster.ask(master ?? "", "CLIENT", "KILL", "TYPE", "replica");
      const held = writer.acknowledged.length;
      await until("only the newer one has more", () => writer.acknowledged.length > held + 500);
      await cluster.kill(master ?? "");
      await cluster.resume(other);
      await cluster.viewWhere(`${other} serves`, ({ partitions }) => {
        const [partition] = partitions;
        return partition?.master === other && (partition.handover ?? null) === null;
      });
      const masters = (await cluster.timeline(since))
        .filter((line) => / (?:\+master|\+handover) /.test(line))
        .map((line) => line.replace(/^\+\d+ /, ""));
      expect(masters).toEqual([
        expect.stringContaining(`"node":"${upgraded}"`),
        expect.stringContaining(`"to":"${other}"`),
        expect.stringContaining(`"node":"${other}"`),
      ]);
      const count = writer.acknowledged.length;
      await until("keys are acknowledged", () => writer.acknowledged.length > count + 500);
      expect(await writer.stop()).toEqual([]);
    },
  );
});
