// twined by its bin, where it can't start: what it says, and what it does not claim to have been.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { binPath } from "../support/bins.ts";
import { runCommand, type Ran } from "../support/run-tool.ts";
import { freePort } from "../support/port-claims.ts";

async function twined(monitorPort: number, ...args: string[]): Promise<Ran> {
  const folder = await mkdtemp(join(tmpdir(), "twine-twined-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const [data, status] = [await freePort(), await freePort()];
  const conf = join(folder, "twine.conf");
  const lines = [
    `a1=data 0 localhost ${data} 0`,
    `s1=status localhost ${status} 0`,
    `m1=monitor localhost ${monitorPort}`,
  ];
  await writeFile(conf, `${lines.join("\n")}\n`);
  const bin = binPath("twined", "runtime");
  return runCommand(process.execPath, [bin, "--conf", conf, ...args], { cwd: folder });
}

test("a monitor whose port is taken says so, and not that it was stopped", async () => {
  const port = await freePort();
  const other = createServer().listen(port, "127.0.0.1");
  onTestFinished(() => {
    other.close();
  });
  const ran = await twined(port, "m1");
  expect(ran.code).toBe(1);
  expect(ran.stderr).toContain(`127.0.0.1:${port}`);
  expect(ran.stderr).toContain("another process listens there");
  expect(ran.stdout).not.toContain("+stop");
});

test("a missing or unknown name is wrong usage, and --dir says what goes there", async () => {
  const port = await freePort();
  const missing = await twined(port);
  expect([missing.code, missing.stderr]).toEqual([
    2,
    expect.stringContaining("error: missing required argument 'name'\n  remedy: see --help"),
  ]);
  const unknown = await twined(port, "m2");
  expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining("m1")]);
  const help = await twined(port, "--help");
  expect(help.stdout).toMatch(/--dir <folder> +folder for rescue\//);
});
