// local-setup.test.ts: what twine-setup writes, keeps and refuses, on a real folder.
import { access, appendFile, mkdir, rm, stat, writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { SMALL, localFolder } from "../support/local-folder.ts";

const AOF = `${SMALL}redis appendonly yes\n`;

describe("twine-setup", () => {
  test("writes every node's folder, and says so", async () => {
    const local = await localFolder(AOF);
    const report = await local.setup();
    expect(report.hosts[0]?.written.toSorted()).toEqual([
      "a1/data/twine-stamp",
      "a1/redis.conf",
      "a2/data/twine-stamp",
      "a2/redis.conf",
      "appendonly/compact.sh",
      "s1/data/twine-stamp",
      "s1/redis.conf",
    ]);
    expect(await local.read("a1", "redis.conf")).toContain(`port ${local.port("a1")}\n`);
    expect((await stat(local.path("appendonly", "compact.sh"))).mode & 0o777).toBe(0o755);
    await access(local.path("m1"));
  });

  test("run again changes nothing", async () => {
    const local = await localFolder(AOF);
    await local.setup();
    const again = await local.setup();
    expect(again.hosts[0]?.written).toEqual([]);
    expect(again.hosts[0]?.unchanged).toHaveLength(7);
  });

  test("keeps a file edited by hand and names it, until --overwrite", async () => {
    const local = await localFolder(AOF);
    await local.setup();
    await appendFile(local.path("a1", "redis.conf"), "maxmemory 64mb\n");
    await local.rewrite((conf) => `${conf}redis maxclients 500\n`);
    const kept = await local.setup();
    expect(kept.hosts[0]?.kept).toEqual(["a1/redis.conf"]);
    expect(kept.warnings.map(({ message }) => message).join()).toContain(
      local.path("a1", "redis.conf"),
    );
    expect(await local.read("a1", "redis.conf")).toMatch(/maxmemory 64mb\n$/);
    expect(await local.read("a2", "redis.conf")).toContain("maxclients 500");

    const overwritten = await local.setup({ overwrite: true });
    expect(overwritten.hosts[0]?.written).toEqual(["a1/redis.conf"]);
    expect(await local.read("a1", "redis.conf")).not.toContain("64mb");
  });

  test("finishes what a crash left half done", async () => {
    const local = await localFolder(AOF);
    await local.setup();
    await rm(local.path("a2"), { recursive: true });
    await rm(local.path("appendonly", "compact.sh"));
    const again = await local.setup();
    expect(again.hosts[0]?.written.toSorted()).toEqual([
      "a2/data/twine-stamp",
      "a2/redis.conf",
      "appendonly/compact.sh",
    ]);
    expect(again.warnings).toEqual([]);
  });

  test("refuses another cluster's data folder, and writes nothing then", async () => {
    const local = await localFolder(AOF);
    await local.setup();
    await local.rewrite((conf) => conf.replace("cluster small", "cluster other"));
    const before = await local.read("a1", "redis.conf");
    await expect(local.setup()).rejects.toThrow(
      /a1\/data belongs to cluster small, not to cluster other/,
    );
    expect(await local.read("a1", "redis.conf")).toBe(before);
  });

  test("refuses data without a stamp until it is adopted", async () => {
    const local = await localFolder(AOF);
    await mkdir(local.path("a1", "data"), { recursive: true });
    await writeFile(local.path("a1", "data", "dump.rdb"), "REDIS0010");
    await expect(local.setup()).rejects.toThrow(/dump\.rdb[^]*--adopt/);
    await local.setup({ adopt: true });
    expect(await local.read("a1", "data", "twine-stamp")).toBe("cluster small\n");
  });

  test("names the folder of a node that left twine.conf and leaves it alone", async () => {
    const local = await localFolder(AOF);
    await local.setup();
    await local.rewrite((conf) => conf.replace(/^a2=.*$/m, ""));
    const report = await local.setup();
    expect(report.hosts[0]?.leftOver).toEqual(["a2"]);
    await access(local.path("a2", "redis.conf"));
  });

  test("says which file is where a folder is needed", async () => {
    const local = await localFolder(AOF);
    await writeFile(`${local.folder}/partitions`, "");
    await expect(local.setup()).rejects.toThrow(/partitions[^]*remedy: there is a file/);
  });
});
