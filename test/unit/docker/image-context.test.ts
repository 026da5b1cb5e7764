// image-context.test.ts: what stays behind in .cache when the context of the runtime's image can't be made.
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { prepareImageContext } from "../../../infra/docker/image-context.ts";

test("a context that can't be completed leaves no folder behind", async () => {
  const root = await mkdtemp(join(tmpdir(), "twine-context-"));
  try {
    await mkdir(join(root, "dist/runtime"), { recursive: true });
    await mkdir(join(root, "templates"));
    expect(() => prepareImageContext(root)).toThrow(/package\.json is missing/);
    await writeFile(join(root, "package.json"), '{"dependencies":{"not-installed":"1"}}');
    expect(() => prepareImageContext(root)).toThrow(/not-installed is missing\n.*npm ci/);
    expect(await readdir(join(root, ".cache/runtime-image"))).toEqual([]);
  } finally {
    await rm(root, { recursive: true });
  }
});
