// small-disk.ts: a disk of some kilobytes under a folder of a test, so that it is soon full.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** For skipIf: only root may mount. Throws instead where skips are forbidden. */
export function isWithoutMounts(): boolean {
  const folder = mkdtempSync(join(tmpdir(), "twine-mount-"));
  try {
    mount(folder, 64);
    unmount(folder);
    return false;
  } catch (error) {
    if (process.env["TWINE_TEST_STRICT"] === "1" && process.getuid?.() === 0) throw error;
    process.stderr.write("skipped: needs the right to mount a tmpfs\n");
    return true;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** An empty disk of `kilobytes` over `folder`, until the test ends. */
export function smallDisk(folder: string, kilobytes: number): void {
  mount(folder, kilobytes);
  onTestFinished(() => {
    unmount(folder);
  });
}

/** What `folder` holds can't be changed any more, until the test ends. */
export function readOnlyDisk(folder: string): void {
  execFileSync("mount", ["--bind", folder, folder], { stdio: "pipe" });
  onTestFinished(() => {
    unmount(folder);
  });
  execFileSync("mount", ["-o", "remount,bind,ro", folder], { stdio: "pipe" });
}

function mount(folder: string, kilobytes: number): void {
  const options = ["-t", "tmpfs", "-o", `size=${kilobytes}k`, "twine-test", folder];
  execFileSync("mount", options, { stdio: "pipe" });
}

/** Lazily: what still has a file open there keeps it. */
function unmount(folder: string): void {
  execFileSync("umount", ["-l", folder], { stdio: "pipe" });
}
