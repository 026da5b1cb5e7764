// local-full-disk.test.ts: starting and stopping on a disk that takes nothing more.
// Method: the file that a write goes to first is a link to /dev/full, where every write ends with ENOSPC.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readlink, symlink } from "node:fs/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { endChild } from "../../infra/local/processes/end-child.ts";
import { withLocks } from "../../infra/local/files/host-lock.ts";
import { SMALL, localFolder, type LocalFolder } from "../support/local-folder.ts";
import { isMissing } from "../support/programs.ts";
import { isWithoutMounts, readOnlyDisk } from "../support/small-disk.ts";

/** The pids of all processes that work below `folder`. */
async function processesBelow(folder: string): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => "")));
  return pids.filter((_, index) => found[index]?.startsWith(`${folder}/`)).map(Number);
}

/** Every claim of a lock that this process makes next ends with ENOSPC. */
async function fillLocks(local: LocalFolder): Promise<void> {
  for (let claim = 0; claim < 50; claim++) {
    const beside = local.path(`.lock.${process.pid}.${claim}`);
    await symlink("/dev/full", beside).catch(() => undefined);
  }
}

describe.skipIf(isMissing("redis-server") || process.platform !== "linux")("a full disk", () => {
  test("a node whose pid can't be written down is gone when start says so", async () => {
    const local = await localFolder(SMALL);
    await local.setup();
    await symlink("/dev/full", local.path("a1", `pid.${process.pid}.tmp`));
    await expect(local.start()).rejects.toThrow(/a1\/pid: ENOSPC[^]*remedy: free some space/);
    expect(await processesBelow(local.folder)).toEqual([]);
  });

  test("stop works where the lock can't be written, and warns; start and setup don't", async () => {
    const local = await localFolder(SMALL);
    await local.setup();
    await local.start();
    await fillLocks(local);
    await expect(local.start()).rejects.toThrow(/\.lock: ENOSPC[^]*remedy: free some space/);
    await fillLocks(local);
    await expect(local.setup()).rejects.toThrow(/\.lock: ENOSPC/);
    await fillLocks(local);
    const report = await local.stop();
    expect(report.stopped.toSorted()).toEqual(["a1", "a2", "s1"]);
    expect(report.warnings).toMatchObject([
      { code: "LOCK_UNWRITABLE", message: expect.stringContaining("ENOSPC") as string },
    ]);
    expect(await processesBelow(local.folder)).toEqual([]);
  });

  test("a command that took the lock before the disk was full is still respected", async () => {
    const local = await localFolder(SMALL);
    await local.setup();
    await withLocks([local.path(".lock")], async () => {
      await fillLocks(local);
      await expect(local.stop()).rejects.toThrow(/another command is running in/);
    });
  });

  test.skipIf(isWithoutMounts())("a read-only disk is named as the cause", async () => {
    const local = await localFolder(`${SMALL}redis appendonly yes\n`);
    await local.setup();
    readOnlyDisk(local.path("a1", "data"));
    await expect(local.start()).rejects.toThrow(
      /a1 ended before it was up[^]*Read-only file system[^]*remedy: mount that disk writable again/,
    );
  });

  test("a process that misses SIGTERM is killed, and gone when that is said", async () => {
    const deaf = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1e6); console.log('deaf')";
    const child = spawn(process.execPath, ["-e", deaf], { stdio: ["ignore", "pipe", "inherit"] });
    onTestFinished(() => void child.kill("SIGKILL"));
    await once(child.stdout, "data");
    await endChild(child, 50);
    expect(child.signalCode).toBe("SIGKILL");
    await endChild(child, 50);
  });
});
