import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { withScratch } from "../../../runtime/backup/restore/scratch.ts";

test("a folder that is not there, or that is a file, is named with the remedy", async () => {
  const home = await mkdtemp(join(tmpdir(), "twine-scratch-test-"));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  const file = join(home, "file");
  writeFileSync(file, "");
  for (const place of [join(home, "none"), file]) {
    const error: unknown = await withScratch(place, () => Promise.resolve("done")).catch(
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ code: "SCRATCH_FOLDER_BAD", problems: [{}] });
    expect(String(error)).toContain(place);
  }
});

test("the private folder is gone when the task has ended, however it ended", async () => {
  const home = await mkdtemp(join(tmpdir(), "twine-scratch-test-"));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  const seen: string[] = [];
  const task = (folder: string): Promise<never> => {
    seen.push(folder);
    mkdirSync(join(folder, "data"));
    return Promise.reject(new Error("it failed"));
  };
  await expect(withScratch(home, task)).rejects.toThrow("it failed");
  expect(seen.map((folder) => existsSync(folder))).toEqual([false]);
});
