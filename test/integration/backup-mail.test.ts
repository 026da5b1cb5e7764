// Mail about backups that fail and that are overdue, from real monitors through a real SMTP server.
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { FaultCluster } from "../support/fault-cluster.ts";
import { mailServer } from "../support/mail-server.ts";
import { onePartition } from "../support/one-partition.ts";
import { until } from "../support/redis-server.ts";

test("a backup that fails is mailed, and that it works again; while it is overdue the cluster is DEGRADED and its monitor healthy", async () => {
  const mail = await mailServer();
  await mail.start();
  const lines = [
    ...["cluster mailed", "backup-dir backups", "backup-every 2s", "alert-after 1s"],
    ...["alert-mail ops@example.com", `alert-smtp smtp://localhost:${mail.port}`],
  ];
  const cluster = await FaultCluster.create(onePartition({ dataNodes: 1, monitors: 1 }, ...lines));
  onTestFinished(() => cluster.remove());
  // Method: where the folder should be lies a file.
  const place = join(cluster.folder, "backups");
  writeFileSync(place, "no folder");
  await cluster.start();
  const textWith = (part: RegExp): boolean =>
    mail.mails.some(({ subject = "", text = "" }) => part.test(`${subject}\n${text}`));
  await until("the failure is mailed", () => textWith(/the backup fails: .*backups/s), 60_000);
  await cluster.viewWhere(
    "it is overdue",
    ({ backup, state }) => backup?.isOverdue === true && state === "DEGRADED",
    180_000,
  );
  const health = await fetch(`http://127.0.0.1:${cluster.port("m1")}/healthz`);
  expect(health.status).toBe(200);
  const before = mail.mails.length;
  rmSync(place);
  await cluster.viewWhere(
    "a backup is there",
    ({ state, backup }) => {
      return state === "OK" && (backup?.lastAt ?? null) !== null && backup?.failed === undefined;
    },
    180_000,
  );
  await until("the recovery is mailed", () => mail.mails.length > before, 60_000);
  expect(mail.mails.at(-1)?.subject).toContain("backup works again");
}, 480_000);
