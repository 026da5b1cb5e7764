// readme.test.ts: what the README shows is what happens: its console blocks run, in order, against the cluster that its
// two commands bring up, on the ports of the shipped twine.conf, in a copy of this folder.
import { cp, mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCommand, type Ran } from "../support/run-tool.ts";
import { isMissing } from "../support/programs.ts";
import { ROOT } from "../support/source-files.ts";

interface Step {
  readonly command: string;
  readonly output: string;
}

const COPIED = ["package.json", "twine.conf", "dist", "templates"];

function stepsOf(readme: string): Step[] {
  const blocks = [...readme.matchAll(/```console\n([\s\S]*?)```/g)].map((match) => match[1] ?? "");
  return blocks.flatMap((block) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((part) => {
        const [command = "", ...lines] = part.split("\n");
        return { command, output: lines.join("\n").trim() };
      }),
  );
}

const steps = stepsOf(await readFile(join(ROOT, "README.md"), "utf8"));

describe.skipIf(isMissing("redis-server", "redis-cli"))("the README's first session", () => {
  let folder: string;
  const shell = (command: string): Promise<Ran> =>
    runCommand("sh", ["-c", command], { cwd: folder, env: { PATH: pathWithBins() } });
  const pathWithBins = (): string =>
    `${join(folder, "node_modules/.bin")}:${process.env["PATH"] ?? ""}`;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "twine-readme-"));
    for (const name of COPIED) await cp(join(ROOT, name), join(folder, name), { recursive: true });
    await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
    const started = await shell("npm start");
    expect(started.code, started.stdout + started.stderr).toBe(0);
    expect(started.stdout).toContain("npx twine set foo bar");
  });
  afterAll(async () => {
    const stopped = await shell("npm stop");
    expect(stopped.code, stopped.stdout + stopped.stderr).toBe(0);
    await rm(folder, { recursive: true, force: true });
  });

  test("has steps to run", () => {
    expect(steps.length).toBeGreaterThan(6);
  });

  test.each(steps)("$command", async ({ command, output }) => {
    const ran = await shell(command);
    expect(ran.code, ran.stderr).toBe(0);
    expect(timeless(ran.stdout)).toBe(timeless(output));
  });
});

/** Times, durations, epochs and which monitor leads differ from run to run; everything else must be as shown. */
function timeless(text: string): string {
  return text
    .replace(/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( UTC|Z)?/g, "TIME")
    .replace(/\d+\.\d s\b/g, "N s")
    .replace(/epoch \d+, revision \d+, alpha m\d/g, "epoch E, revision R, alpha M")
    .trim();
}
