// ci-examples.test.ts: the CI files of examples/ci, their commands extracted and run in order in a project's folder. What
// installs packages of the system or of npm is left out; this folder has its programs already.
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readFile,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { binPath } from "../support/bins.ts";
import { isMissing } from "../support/programs.ts";
import { runCommand, type Ran } from "../support/run-tool.ts";
import { ROOT } from "../support/source-files.ts";

const EXAMPLES = join(ROOT, "examples/ci");
/** Commands that change the machine. */
const INSTALLS = /apt-get|npm ci/;
const TEST_TIMEOUT_MS = 400_000;

/** The commands of a GitHub job: `run: COMMAND`, or `run: |` and the deeper lines below it. */
function githubCommands(text: string): string[] {
  const lines = text.split("\n");
  return lines.flatMap((line, index) => {
    const [, indent = "", command] = /^(\s*)(?:- )?run: (.*)$/.exec(line) ?? [];
    if (command === undefined) return [];
    if (command !== "|") return [command];
    const below = lines.slice(index + 1);
    const end = below.findIndex((next) => !next.startsWith(`${indent}  `));
    return [below.slice(0, end).join("\n").replaceAll(`${indent}  `, "")];
  });
}

/** The commands of one list of a GitLab job. */
function gitlabCommands(text: string, list: string): string[] {
  const [, items = ""] = new RegExp(`^  ${list}:\\n((?:    - .*\\n)+)`, "m").exec(text) ?? [];
  return items
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.replace("    - ", ""));
}

describe.skipIf(process.platform !== "linux" || isMissing("redis-server", "bash"))(
  "examples/ci",
  () => {
    let folder = "";

    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), "twine-ci-"));
      const modules = join(folder, "node_modules");
      await mkdir(join(modules, ".bin"), { recursive: true });
      await mkdir(join(modules, "twine-redis"));
      for (const name of ["vitest", "ioredis", "vite"]) {
        await symlink(join(ROOT, "node_modules", name), join(modules, name));
      }
      await symlink(join(ROOT, "node_modules/.bin/vitest"), join(modules, ".bin/vitest"));
      await copyFile(join(ROOT, "twine.conf"), join(folder, "twine.conf"));
      await copyFile(join(EXAMPLES, "cluster.test.ts"), join(folder, "cluster.test.ts"));
      // twine-redis from the sources, under the names that the package has.
      const source = JSON.stringify(join(ROOT, "infra/env/start-cluster.ts"));
      await writeFile(join(modules, "twine-redis/env.js"), `export * from ${source};\n`);
      const name = { name: "twine-redis", type: "module", exports: { "./env": "./env.js" } };
      await writeFile(join(modules, "twine-redis/package.json"), JSON.stringify(name));
      const bin = join(modules, ".bin/twine-env");
      const tool = binPath("twine-env", "infra");
      await writeFile(bin, `#!/bin/sh\nexec "${process.execPath}" "${tool}" "$@"\n`);
      await chmod(bin, 0o755);
      // A program that is tested beside the cluster of the job, and tests with a cluster of their own.
      const asked = `node -e 'if (!/^redis:..127/.test(process.env.REDIS_URL)) process.exit(9)'`;
      const scripts = { test: `${asked} && vitest run` };
      await writeFile(join(folder, "package.json"), JSON.stringify({ type: "module", scripts }));
    });

    afterEach(async () => {
      await bash("npx twine-env down ci");
      await rm(folder, { recursive: true, force: true });
    });

    function bash(script: string): Promise<Ran> {
      const env = {
        TWINE_ENVS: join(folder, "envs"),
        GITHUB_ENV: join(folder, "github-env"),
        // Not this test's own vitest.
        VITEST: undefined,
        VITEST_WORKER_ID: undefined,
        VITEST_POOL_ID: undefined,
        PATH: `${join(process.execPath, "..")}:${process.env["PATH"] ?? ""}`,
      };
      return runCommand("bash", ["-e", "-o", "pipefail", "-c", script], { cwd: folder, env });
    }

    /** A short run of the same. */
    function shortened(command: string): string {
      return command.replace("--minutes 2", "--minutes 0.1");
    }

    async function expectReported(): Promise<void> {
      const report = await readFile(join(folder, "chaos-ci/report.html"), "utf8");
      expect(report).toContain("ci: promises kept");
      expect(existsSync(join(folder, "envs/ci"))).toBe(false);
    }

    test("github-actions.yml", { timeout: TEST_TIMEOUT_MS }, async () => {
      const text = await readFile(join(EXAMPLES, "github-actions.yml"), "utf8");
      const commands = githubCommands(text);
      expect(commands.filter((command) => INSTALLS.test(command))).toHaveLength(2);
      const steps = commands.filter((command) => !INSTALLS.test(command));
      expect(steps).toHaveLength(4);
      for (const step of steps) {
        // Between two steps, the runner reads what the first one wrote to GITHUB_ENV.
        const before = 'if [ -f "$GITHUB_ENV" ]; then set -a; . "$GITHUB_ENV"; set +a; fi';
        const { code, stdout, stderr } = await bash(`${before}\n${shortened(step)}`);
        expect(code, `${step}\n${stdout}${stderr}`).toBe(0);
      }
      await expectReported();
    });

    test("gitlab-ci.yml", { timeout: TEST_TIMEOUT_MS }, async () => {
      const text = await readFile(join(EXAMPLES, "gitlab-ci.yml"), "utf8");
      const before = gitlabCommands(text, "before_script");
      expect(before.every((command) => INSTALLS.test(command))).toBe(true);
      const script = gitlabCommands(text, "script");
      expect(script).toHaveLength(4);
      // One shell for all lines of `script`, another one for those of `after_script`.
      const { code, stdout, stderr } = await bash(script.map(shortened).join("\n"));
      expect(code, `${stdout}${stderr}`).toBe(0);
      const after = await bash(gitlabCommands(text, "after_script").join("\n"));
      expect(after.code, after.stderr).toBe(0);
      await expectReported();
    });
  },
);
