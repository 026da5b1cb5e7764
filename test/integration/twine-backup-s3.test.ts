// twine-backup and twine-restore with a bucket, as a person uses them, on a whole cluster of real processes.
import { crc32 } from "node:zlib";
import { describe, expect, test } from "vitest";
import { firstBackup, startedCluster, twoPartitions } from "../support/one-partition.ts";
import { runTool } from "../support/run-tool.ts";
import { pythonWithS3, startS3 } from "../support/s3-server.ts";

const python = pythonWithS3() ?? "";

// The alpha's own backup comes first, and the next after a day.
const CONF = twoPartitions(
  "cluster bucketed",
  "backup-dir s3://backups/of/twine",
  "backup-dir folder",
  "backup-every 1d",
  "backup-keep 1",
  "backup-compress zstd",
  "redis repl-diskless-sync-delay 0",
);

describe.skipIf(python === "")("a bucket as backup-dir", () => {
  test("gets backups from the alpha and by hand, keeps what the rule says, is verified, restored from and emptied", async () => {
    const server = await startS3(python, ["backups"]);
    const cluster = await startedCluster(CONF);
    const { file } = cluster.config;
    const write = async (value: string): Promise<void> => {
      for (const key of ["foo", "bar", "baz", "{x}"])
        await cluster.ask(crc32(key) % 2 === 0 ? "a1" : "b1", "SET", key, value);
    };
    await write("saved");
    const ids = async (): Promise<string[]> => [
      ...new Set((await server.keys("backups")).map((key) => key.split("/")[2] ?? "")),
    ];
    await firstBackup(cluster);
    const taken = await runTool("runtime", "twine-backup", file);
    expect([taken.code, taken.err]).toEqual([0, expect.not.stringContaining("error")]);
    expect(taken.out).toContain("in s3://backups/of/twine, folder");
    const id = taken.out.slice(0, taken.out.indexOf(":"));
    expect(await ids()).toEqual([id]);
    const path = `s3://backups/of/twine/${id}`;
    const verified = await runTool("runtime", "twine-backup", file, "--verify", path);
    expect([verified.code, verified.out]).toEqual([
      0,
      expect.stringContaining("in s3://backups/of/twine, folder are as the manifest says"),
    ]);
    const listed = await runTool("runtime", "twine-backup", file, "--list");
    expect(listed.out).toMatch(/verified 20.* s3:\/\/backups\/of\/twine, folder$/m);

    for (const which of [path, "latest"]) {
      await write("written later");
      const restored = await runTool("runtime", "twine-restore", file, which, "--yes");
      expect([restored.code, restored.err]).toEqual([0, expect.not.stringContaining("error")]);
      expect(restored.out).toContain("4 keys were restored on 4 nodes");
      await cluster.viewWhere("OK", ({ state }) => state === "OK");
    }

    const broken =
      (await server.keys("backups")).find((key) => key.includes("partition-1.rdb")) ?? "";
    await server.overwrite("backups", broken, Buffer.from("REDIS"));
    const found = await runTool("runtime", "twine-backup", file, "--verify", path);
    expect(found.code).toBe(1);
    expect(found.err).toContain(`s3://backups/of/twine, ${id}: partition-1.rdb.zst`);
    const refused = await runTool("runtime", "twine-restore", file, path, "--yes");
    expect([refused.code, refused.err]).toEqual([
      1,
      expect.stringContaining("nothing was restored"),
    ]);

    const deleted = await runTool("runtime", "twine-backup", file, "--delete", path);
    expect(deleted.out).toContain(`${id} was deleted from s3://backups/of/twine, folder`);
    expect(await server.keys("backups")).toEqual([]);

    await server.kill();
    const half = await runTool("runtime", "twine-backup", file);
    expect(half.code).toBe(3);
    expect(half.out).toContain("in folder");
    expect(half.err).toMatch(/s3:\/\/backups\/of\/twine: bucket backups: .*ECONNREFUSED/);
    expect(half.err).toContain("remedy: see that the store runs");
  }, 400_000);

  test("is all that is left of a cluster, and a fresh one under another name gets everything back, feeds included", async () => {
    const server = await startS3(python, ["backups"]);
    const lost = await startedCluster(CONF.replace("backup-dir folder\n", ""));
    const keys = Array.from({ length: 50 }, (_, at) => `key${at}`);
    const nodeOf = (key: string): string => (crc32(key) % 2 === 0 ? "a1" : "b1");
    await firstBackup(lost);
    for (const key of keys) await lost.ask(nodeOf(key), "SET", key, `value of ${key}`);
    const taken = await runTool("runtime", "twine-backup", lost.config.file);
    expect([taken.code, taken.err]).toEqual([0, expect.not.stringContaining("error")]);
    const id = taken.out.slice(0, taken.out.indexOf(":"));
    const files = (await server.keys("backups")).filter((key) => key.includes(id));
    expect(files.filter((key) => key.endsWith(".feed.zst"))).toHaveLength(2);
    await lost.remove();

    const fresh = await startedCluster(
      CONF.replace("bucketed", "fresh").replace("backup-dir folder\n", ""),
    );
    const path = `s3://backups/of/twine/${id}`;
    const restored = await runTool("runtime", "twine-restore", fresh.config.file, path, "--yes");
    expect([restored.code, restored.err]).toEqual([0, expect.not.stringContaining("error")]);
    const { partitions } = await fresh.viewWhere("OK", ({ state }) => state === "OK");
    for (const key of keys) {
      const master = partitions[crc32(key) % 2]?.master ?? "";
      expect(await fresh.ask(master, "GET", key)).toBe(`value of ${key}`);
    }
  }, 240_000);
});
