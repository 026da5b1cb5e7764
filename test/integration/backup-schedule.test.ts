// backup-every on a cluster of real processes: backups come by themselves, from the alpha alone, also from the next alpha.
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { onePartition, startedCluster } from "../support/one-partition.ts";
import { until } from "../support/redis-server.ts";
import { runTool } from "../support/run-tool.ts";

test("a backup is taken when one is due, by the alpha alone, and by the next alpha when that has died", async () => {
  const lines = ["backup-dir backups", "backup-every 3s", "backup-keep 2", "cluster timed"];
  const cluster = await startedCluster(onePartition({ dataNodes: 2, monitors: 3 }, ...lines));
  const folder = join(cluster.folder, "backups");
  const whole = (): string[] =>
    existsSync(folder)
      ? readdirSync(folder).filter((id) => existsSync(join(folder, id, "manifest.json")))
      : [];
  await until("there is a backup", () => whole().length > 0, 60_000);
  const [first = ""] = whole();
  await until(
    "the first is kept no more",
    () => whole().length > 0 && !whole().includes(first),
    90_000,
  );
  expect(whole().length).toBeLessThanOrEqual(2);
  const { alpha } = await cluster.viewWhere("OK", ({ state }) => state === "OK");
  const eventsOf = (name: string): number =>
    (readFileSync(cluster.path(name, "log"), "utf8").match(/"\+backup"/g) ?? []).length;
  const others = ["m1", "m2", "m3"].filter((name) => name !== alpha);
  expect(eventsOf(alpha)).toBeGreaterThan(0);
  expect(others.map(eventsOf)).toEqual([0, 0]);
  await cluster.kill(alpha);
  await cluster.viewWhere("another alpha", (view) => view.alpha !== alpha);
  await until("the next alpha takes one", () => others.some((name) => eventsOf(name) > 0), 90_000);
}, 300_000);

test("the newest backup, its age and a folder that fails are shown in every format, until it works again", async () => {
  const lines = ["backup-dir backups", "backup-dir other", "backup-every 2s", "cluster shown"];
  const conf = onePartition({ dataNodes: 1, monitors: 1 }, ...lines);
  const cluster = await startedCluster(conf);
  const { file } = cluster.config;
  await cluster.viewWhere("a backup is shown", ({ backup }) => (backup?.lastAt ?? null) !== null);
  const other = join(cluster.folder, "other");
  rmSync(other, { recursive: true, force: true });
  writeFileSync(other, "no folder");
  const failing = await cluster.viewWhere(
    "the failure is shown",
    ({ backup }) => backup?.failed !== undefined,
    90_000,
  );
  expect(failing.backup?.failed).toContain("other");
  const status = async (format: string): Promise<string> =>
    (await runTool("runtime", "twine-status", file, format)).out;
  const summary = (await status("summary")).replaceAll(/\s+/g, " ");
  expect(summary).toMatch(/last backup 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC, \d+ (s|min) ago/);
  expect(summary).toContain("backup the last attempt failed:");
  const json = JSON.parse(await status("json")) as {
    readonly backup: { readonly ageSeconds: number; readonly failed: string };
  };
  expect(json.backup.ageSeconds).toBeGreaterThanOrEqual(0);
  expect(json.backup.failed).toContain("other");
  expect(await status("xml")).toMatch(/<backup lastAt="20[^>]*ageSeconds="\d+"/);
  expect(await status("html")).toContain("Last backup");
  const metrics = await (await fetch(`http://127.0.0.1:${cluster.port("m1")}/metrics`)).text();
  expect(metrics).toMatch(/^twine_backup_failing 1$/m);
  expect(metrics).toMatch(/^twine_backup_age_seconds [\d.]+$/m);
  rmSync(other);
  await cluster.viewWhere(
    "nothing fails any more",
    ({ backup }) => backup !== undefined && backup.failed === undefined,
    180_000,
  );
}, 300_000);
