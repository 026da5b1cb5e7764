// packed.test.ts: what is published works where it is installed: npm pack, npm install into an empty folder, the bins.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCommand, type Ran } from "../support/local-cluster.ts";
import { ROOT } from "../support/source-files.ts";

describe("the packed package, installed into an empty folder", () => {
  let folder: string;
  const npm = (...args: string[]): Promise<Ran> => runCommand("npm", args, { cwd: folder });

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "twine-pack-"));
    const packed = await npm("pack", "--silent", ROOT);
    const tarball = packed.stdout.trim().split("\n").at(-1) ?? "";
    const installed = await npm("install", "--no-audit", "--no-fund", `./${tarball}`);
    expect(installed.code, installed.stderr).toBe(0);
  });
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  test("every bin is there under both of its names and knows its own help", async () => {
    const text = await readFile(join(ROOT, "package.json"), "utf8");
    const { publishConfig } = JSON.parse(text) as { publishConfig: { bin: object } };
    const bins = Object.keys(publishConfig.bin);
    expect(bins).toHaveLength(22);
    for (const bin of bins) {
      const ran = await runCommand(join(folder, "node_modules/.bin", bin), ["--help"], {
        cwd: folder,
      });
      expect(ran.code, `${bin} --help: ${ran.stderr}`).toBe(0);
      expect(ran.stdout).toContain(`Usage: ${bin}`);
      expect(ran.stdout).toContain("Examples:");
    }
  });

  test("packing leaves the checkout's package.json as it was", async () => {
    const text = await readFile(join(ROOT, "package.json"), "utf8");
    expect(JSON.parse(text)).not.toHaveProperty("bin");
  });

  test("twine-hash answers without any twine.conf", async () => {
    const ran = await runCommand(join(folder, "node_modules/.bin/twine-hash"), ["foo", "2"], {
      cwd: folder,
    });
    expect(ran).toEqual({ code: 0, stdout: "1\n", stderr: "" });
  });
});
