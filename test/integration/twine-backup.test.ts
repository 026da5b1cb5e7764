// twine-backup as a person uses it, on a whole cluster of real processes.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { expect, test } from "vitest";
import { parseManifest } from "../../runtime/backup/manifest.ts";
import { firstBackup, startedCluster, twoPartitions } from "../support/one-partition.ts";
import { runTool } from "../support/run-tool.ts";
import { startRedis } from "../support/redis-server.ts";

// Partition 1 has no replica.
const CONF = twoPartitions(
  "cluster saved",
  "backup-dir one",
  "backup-dir two",
  "backup-keep 1",
  "redis repl-diskless-sync-delay 0",
).replace(/^b2=.*\n/m, "");

test("a backup of a cluster is taken, listed, verified, kept by its rule and deleted", async () => {
  const cluster = await startedCluster(CONF);
  const { file } = cluster.config;
  for (const key of ["foo", "bar", "baz", "{x}"]) {
    await cluster.ask(crc32(key) % 2 === 0 ? "a1" : "b1", "SET", key, `value of ${key}`);
  }
  await cluster.viewWhere("OK", ({ state }) => state === "OK");
  // The alpha takes the first one by itself.
  await firstBackup(cluster);
  const ids: string[] = [];
  for (let round = 0; round < 2; round++) {
    const { code, out, err } = await runTool("runtime", "twine-backup", file);
    expect([code, err]).toEqual([0, expect.not.stringContaining("error")]);
    expect(out).toMatch(
      /^saved-\d{8}T\d{6}Z-[0-9a-f]{6}: 4 keys of 2 partitions, \d+ B, in one, two\n/,
    );
    // b1 has no replica.
    expect(out).toContain("partition 1 was taken from its master b1");
    expect(out).toMatch(/one moment of all partitions: 20\S+Z; writes waited \d+ ms for it\n/);
    ids.push(out.slice(0, out.indexOf(":")));
  }
  expect(readdirSync(join(cluster.folder, "one")).toSorted()).toEqual(ids.slice(1).toSorted());
  const id = ids[1] ?? "";
  const parsed = parseManifest(
    readFileSync(join(cluster.folder, "two", id, "manifest.json"), "utf8"),
  );
  if (parsed.kind !== "parsed") throw new Error(parsed.why);
  const manifest = parsed.value;
  expect([manifest.isConsistent, manifest.cut?.marks.map(({ master }) => master)]).toEqual([
    ...[true, ["a1", "b1"]],
  ]);
  expect(manifest.conf).toBe(readFileSync(file, "utf8"));
  expect(manifest.partitions.map(({ node, misplaced }) => [node, misplaced.count])).toEqual([
    ["a2", 0],
    ["b1", 0],
  ]);
  for (const { file: name, keys } of manifest.partitions) {
    const loaded = await startRedis([
      `dir ${join(cluster.folder, "one", id)}`,
      `dbfilename ${name}`,
    ]);
    expect(await (await loaded.link()).call("DBSIZE")).toBe(keys);
  }

  const verified = await runTool(
    "runtime",
    "twine-backup",
    file,
    "--verify",
    join(cluster.folder, "one", id),
  );
  expect([verified.code, verified.err]).toEqual([0, expect.not.stringContaining("error")]);
  expect(verified.out).toContain(`${id}: `);
  const listed = await runTool("runtime", "twine-backup", file, "--list");
  const lines = listed.out.trim().split("\n");
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(
    new RegExp(`^${id}  \\d+ (s|min) old .* 4 keys .* verified 20.* one, two$`),
  );

  writeFileSync(join(cluster.folder, "two", id, "partition-0.rdb"), "REDIS");
  const broken = await runTool("runtime", "twine-backup", file, "--verify", "latest", "--json");
  expect(broken.code).toBe(1);
  const { errors } = JSON.parse(broken.err.trim().split("\n").at(-1) ?? "") as {
    errors: { code: string; message: string; remedy: string }[];
  };
  expect(errors).toMatchObject([{ code: "BACKUP_BROKEN" }]);
  expect(errors[0]?.message).toContain(`two, ${id}: partition-0.rdb`);
  expect((await runTool("runtime", "twine-backup", file, "--list")).out).toContain("BROKEN");

  // Of a newer version: that is said, and not that it is not there.
  const manifests = ["one", "two"].map((name) => join(cluster.folder, name, id, "manifest.json"));
  const text = readFileSync(manifests[0] ?? "", "utf8");
  for (const path of manifests) writeFileSync(path, '{"format": 99}');
  for (const args of [
    ["twine-restore", id, "--yes"],
    ["twine-backup", "--verify", id],
  ]) {
    const [tool = "", ...rest] = args;
    const { code, err } = await runTool("runtime", tool, file, ...rest);
    expect([code, err]).toEqual([1, expect.stringMatching(/its format is 99.*remedy/s)]);
    expect(err).not.toContain("there is no backup");
  }
  for (const path of manifests) writeFileSync(path, text);

  expect((await runTool("runtime", "twine-backup", file, "--delete", id)).out).toBe(
    `${id} was deleted from one, two\n`,
  );
  const unknown = await runTool("runtime", "twine-backup", file, "--verify", id);
  expect([unknown.code, unknown.err]).toEqual([
    1,
    expect.stringContaining(`there is no backup ${id}`),
  ]);
  const both = await runTool("runtime", "twine-backup", file, "--list", "--verify", "latest");
  expect([both.code, both.err]).toEqual([2, expect.stringContaining("two things")]);
}, 180_000);
