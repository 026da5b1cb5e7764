// A data node that can't write to its disk goes on in memory, as a replica too: Redis's own default ends it with a panic.
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { onePartition, startedCluster } from "../support/one-partition.ts";
import { isMissing } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";

describe.skipIf(isMissing("redis-server"))("a disk that takes nothing", () => {
  test("under the master, then under all nodes: no node ends, no write that was acknowledged is lost", async () => {
    const cluster = await startedCluster(onePartition({ dataNodes: 3, monitors: 1 }));
    const names = ["a1", "a2", "a3"];
    const rdbOf = (name: string): string =>
      join(cluster.folder, "partitions", "localhost", name, "data", "dump.rdb");
    const write = (key: string): Promise<unknown> => cluster.ask("r1", "SET", key, "value");
    const pids = await Promise.all(names.map((name) => pidOf(name)));
    const { partitions } = await cluster.viewWhere("OK", ({ state }) => state === "OK");
    const first = partitions[0]?.master ?? "";
    expect(await write("before")).toBe("OK");

    await breakSaving(first);
    const handed = await cluster.viewWhere(
      "another master, the first one in sync behind it",
      ({ partitions: [partition], nodes }) =>
        partition?.master !== first && nodes.find(({ name }) => name === first)?.inSync === true,
    );
    expect(await write("between")).toBe("OK");
    const second = handed.partitions[0]?.master ?? "";
    await until(
      `${first} took it`,
      async () => (await cluster.ask(second, "WAIT", "2", "100")) === 2,
    );

    for (const name of names) if (name !== first) await breakSaving(name);
    const refused = await write("refused").then(
      () => "OK",
      (error: unknown) => String(error),
    );
    expect(refused).toMatch(/MISCONF|CLUSTERDOWN|TRYAGAIN|timeout/i);
    expect(await Promise.all(names.map((name) => pidOf(name)))).toEqual(pids);

    for (const name of names) {
      await rm(rdbOf(name), { recursive: true });
      await until(`${name} saves again`, async () => {
        await cluster.ask(name, "BGSAVE").catch(() => undefined);
        return (await infoOf(name, "persistence")).includes("rdb_last_bgsave_status:ok");
      });
    }
    await until(
      "writes are taken again",
      async () => (await write("after").catch(() => "")) === "OK",
    );
    for (const key of ["before", "between"])
      expect(await cluster.ask("r1", "GET", key)).toBe("value");
    expect(await Promise.all(names.map((name) => pidOf(name)))).toEqual(pids);

    async function infoOf(name: string, section: string): Promise<string> {
      return (await cluster.ask(name, "INFO", section)) as string;
    }
    async function pidOf(name: string): Promise<string | undefined> {
      const info = await infoOf(name, "server");
      return /^process_id:(\d+)/m.exec(info)?.[1];
    }
    /** A folder stands where its RDB should: its next save fails, and it knows. */
    async function breakSaving(name: string): Promise<void> {
      await rm(rdbOf(name), { force: true });
      await mkdir(rdbOf(name));
      await cluster.ask(name, "BGSAVE");
      await until(`${name} could not save`, async () =>
        (await infoOf(name, "persistence")).includes("rdb_last_bgsave_status:err"),
      );
    }
  });
});
