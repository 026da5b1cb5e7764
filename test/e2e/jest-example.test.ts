// jest-example.test.ts: examples/ci/cluster.jest.test.js in a real jest, on the compiled package.
import { existsSync } from "node:fs";
import {
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { cachedFolder, run } from "../support/cached-install.ts";
import { isMissing } from "../support/programs.ts";
import { runCommand } from "../support/run-tool.ts";
import { ROOT } from "../support/source-files.ts";

const NAME = "cluster.jest.test.js";
/** From npm, in the checkout's .cache; undefined where that can't be had. */
const jestFolder = cachedFolder("jest-30", (folder) => {
  const quiet = ["--ignore-scripts", "--no-audit", "--no-fund"];
  run("npm", "install", "--prefix", folder, ...quiet, "jest@30");
});

describe.skipIf(
  process.platform !== "linux" || isMissing("redis-server") || jestFolder === undefined,
)("startCluster() in jest", () => {
  test("the example starts a cluster, and leaves nothing of it", { timeout: 400_000 }, async () => {
    const folder = await mkdtemp(join(tmpdir(), "twine-jest-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const modules = join(folder, "node_modules");
    await mkdir(join(modules, "twine-redis"), { recursive: true });
    for (const own of ["jest", "@jest"]) {
      await symlink(join(jestFolder ?? "", "node_modules", own), join(modules, own));
    }
    await symlink(join(ROOT, "node_modules/ioredis"), join(modules, "ioredis"));
    await copyFile(join(ROOT, "twine.conf"), join(folder, "twine.conf"));
    const example = await readFile(join(ROOT, "examples/ci", NAME), "utf8");
    await writeFile(join(folder, NAME), example);
    await writeFile(join(folder, "package.json"), JSON.stringify({ type: "module" }));
    const compiled = JSON.stringify(join(ROOT, "dist/infra/env/start-cluster.js"));
    await writeFile(join(modules, "twine-redis/env.js"), `export * from ${compiled};\n`);
    const name = { name: "twine-redis", type: "module", exports: { "./env": "./env.js" } };
    await writeFile(join(modules, "twine-redis/package.json"), JSON.stringify(name));

    const flag = /^\/\/ {3}NODE_OPTIONS=(\S+) npx jest$/m.exec(example)?.[1];
    const envs = join(folder, "envs");
    const env = {
      ...{ TWINE_ENVS: envs, NODE_OPTIONS: flag },
      // Not this test's own vitest.
      ...{ VITEST: undefined, VITEST_WORKER_ID: undefined, VITEST_POOL_ID: undefined },
    };
    const args = [join(modules, "jest/bin/jest.js"), "--rootDir", folder, NAME];
    const ran = await runCommand(process.execPath, args, { cwd: folder, env });
    expect(ran.code, ran.stdout + ran.stderr).toBe(0);
    expect(ran.stderr).toContain("1 passed");
    expect(existsSync(envs) ? await readdir(envs) : []).toEqual([]);
  });
});
