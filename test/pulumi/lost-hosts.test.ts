// All hosts of a stack are lost and its bucket is left: a fresh stack gets everything back, by commands in its monitor's own
// container, as docs/pulumi.md says.
// Method: pods on one engine; beside it in its network an S3 server, which outlives containers, volumes, network and state.
import { execFile } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { importBaseImages } from "../support/base-images.ts";
import { startEngines, type EngineFleet, type EngineHost } from "../support/docker-engines.ts";
import { findProgram } from "../support/programs.ts";
import { until } from "../support/redis-server.ts";
import { pythonWithS3 } from "../support/s3-server.ts";
import {
  expectNothingLeft,
  openShipped,
  outputs,
  removeContainers,
  untilOk,
} from "./cluster-probe.ts";
import { isMissingForPulumi } from "./requirements.ts";
import type { StackRunner } from "./stack-runner.ts";
import { startStoreInside } from "./store-inside.ts";

const NODES = [
  "a1=data 0 db1 6666 0",
  "a2=data 0 db2 6667 0",
  "b1=data 1 db2 7666 0",
  "b2=data 1 db1 7667 0",
  "s1=status db1 6401 0",
  "m1=monitor db1 7601",
  "r1=router db2 6400",
  "partitions 2",
  "backup-dir s3://lost/of/twine",
];
/** How the cluster ran, and how a fresh one comes up: it writes nothing before everything is back. */
const RUNNING = ["backup-every 15s", "backup-archive yes", "backup-cut-every 2s"];
const FRESH = ["backup-every 24d"];
const BACKUP_WITHIN_MS = 120_000;
const KEYS = 200;
const LATE_KEYS = 20;

const isSkipped = isMissingForPulumi();
const python = isSkipped ? "" : (pythonWithS3() ?? "");

describe.skipIf(isSkipped || python === "")("all hosts are lost, and the bucket is left", () => {
  let fleet: EngineFleet;
  let pods: EngineHost;

  beforeAll(async () => {
    fleet = await startEngines(["pods"]);
    pods = fleet.host("pods");
    await importBaseImages([pods], fleet.folder);
  });

  afterAll(async () => {
    await fleet.stop();
  });

  /**
   * A command in the monitor's container, as an operator types it; answers its stdout. On a busy machine the status node may be
   * too slow for it: then nothing was changed, and it is given again.
   */
  async function inMonitor(...command: readonly string[]): Promise<string> {
    const args = ["-H", pods.endpoint, "exec", "lost-m1", ...command];
    for (;;) {
      try {
        return (await promisify(execFile)(findProgram("docker") ?? "docker", args)).stdout;
      } catch (error) {
        if (!/status nodes? of \S+ answered/.test(said(error))) throw error;
      }
    }
  }

  /** Whether the newest backup has all of `set("key", KEYS)`. */
  async function isSaved(): Promise<boolean> {
    const listed = await inMonitor("twine-backup", "--list", "--json");
    const { backups } = JSON.parse(listed) as { backups: readonly { readonly keys: number }[] };
    return (backups[0]?.keys ?? 0) >= KEYS;
  }

  let asked = 0;

  /** Whether the last moment of the archive has all of `set("late", LATE_KEYS)`. */
  async function isRecorded(): Promise<boolean> {
    const what = ["--to", "latest", "--keys", "late*", "--to-file", `/tmp/late-${++asked}.rdb`];
    const found = await inMonitor("twine-restore", ...what, "--json").catch(said);
    return found.includes(`"keys":${LATE_KEYS},`);
  }

  /** Commands of redis-cli through the router, one a line; the replies, one a line. */
  async function ask(runner: StackRunner, lines: string): Promise<string> {
    const [url = ""] = await outputs(runner, "routerUrls");
    const script = `${lines} | redis-cli --no-auth-warning -u "$0"`;
    return pods.run("sh", "-c", script, url);
  }

  const set = (name: string, count: number): string =>
    `seq ${count} | sed 's/.*/SET ${name}& value-of-&/'`;
  const get = (name: string, count: number): string => `seq ${count} | sed 's/.*/GET ${name}&/'`;
  const values = (count: number): string =>
    Array.from({ length: count }, (_, at) => `value-of-${at + 1}\n`).join("");

  async function up(conf: string, storeUrl: string): Promise<StackRunner> {
    const runner = await openShipped(fleet, "lost", {
      "twine:conf": { value: conf },
      "twine:engine": { value: pods.endpoint },
      "twine:password": { value: "correct-horse-battery", secret: true },
      "twine:memory": { value: "256mb" },
      "twine:backup.endpoint": { value: storeUrl },
      "twine:backup.region": { value: "us-east-1" },
      "twine:backup.accessKeyId": { value: "someone" },
      "twine:backup.secretAccessKey": { value: "secret", secret: true },
    });
    await runner.up();
    await untilOk(runner, pods);
    return runner;
  }

  test("a fresh stack gets everything back by a command in its monitor's container", async () => {
    const store = await startStoreInside(pods, python, "lost");
    const conf = join(fleet.folder, "lost.conf");
    await writeFile(conf, [...NODES, ...RUNNING, ""].join("\n"));
    const before = await up(conf, store.url);
    expect(await ask(before, set("key", KEYS))).toBe("OK\n".repeat(KEYS));
    await until("the alpha has saved every key", isSaved, BACKUP_WITHIN_MS);
    expect(await ask(before, set("late", LATE_KEYS))).toBe("OK\n".repeat(LATE_KEYS));
    await until("the archive goes on behind the last write", isRecorded, BACKUP_WITHIN_MS);

    await loseEverything();
    await expectNothingLeft(pods);
    const left = await store.keys("lost");
    expect(left.some((key) => key.endsWith("/manifest.json"))).toBe(true);

    await writeFile(conf, [...NODES, ...FRESH, ""].join("\n"));
    const fresh = await up(conf, store.url);
    expect(await ask(fresh, get("key", 1))).toBe("\n");
    const total = KEYS + LATE_KEYS;
    const restored = await inMonitor("twine-restore", "--to", "latest", "--yes");
    expect(restored).toContain(`${total} keys were restored on 4 nodes`);
    await untilOk(fresh, pods);
    expect(await ask(fresh, get("key", KEYS))).toBe(values(KEYS));
    expect(await ask(fresh, get("late", LATE_KEYS))).toBe(values(LATE_KEYS));
    expect(await inMonitor("twine-status")).toContain("OK");
    expect(await fresh.up()).toEqual({});

    // A backup as it is, with its cut; and the same into a scratch cluster beside the monitor.
    expect(await inMonitor("twine-restore", "latest", "--yes")).toContain(
      "were restored on 4 nodes",
    );
    await untilOk(fresh, pods);
    expect(await ask(fresh, get("key", KEYS))).toBe(values(KEYS));
    expect(await inMonitor("twine-backup", "--rehearse")).toContain("compared");
    await fresh.destroy();
    await expectNothingLeft(pods);
  });

  /** As fire would: nobody is asked, nothing is handed over; the state of Pulumi is gone, too. */
  async function loseEverything(): Promise<void> {
    await removeContainers(pods);
    const { Volumes: volumes } = await pods.docker.listVolumes();
    await Promise.all(volumes.map(({ Name: name }) => pods.docker.getVolume(name).remove()));
    await pods.docker.getNetwork("lost").remove();
    await rm(join(fleet.folder, "stacks/lost"), { recursive: true });
  }
});

/** Nothing is recorded yet: the tool's own words. */
function said(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
