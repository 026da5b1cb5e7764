// twine-reshard-scratch.test.ts: the private folder of twine-reshard, when it can't be made and when it is not needed after all.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { binPath } from "../support/bins.ts";
import { freePort } from "../support/port-claims.ts";
import { runCommand } from "../support/run-tool.ts";

async function run(
  scratch: (folder: string) => string,
  env: NodeJS.ProcessEnv = {},
  ...args: string[]
) {
  const folder = mkdtempSync(join(tmpdir(), "twine-reshard-test-"));
  onTestFinished(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  const ports = [await freePort(), await freePort(), await freePort()];
  const conf = join(folder, "NEW.conf");
  writeFileSync(
    conf,
    `a1=data 0 localhost ${ports[0]} 0\ns1=status localhost ${ports[1]} 0\nm1=monitor localhost ${ports[2]}\n`,
  );
  const command = [
    binPath("twine-reshard", "runtime"),
    conf,
    "--scratch",
    scratch(folder),
    ...args,
  ];
  const ran = await runCommand(process.execPath, command, { env });
  return { ...ran, files: readdirSync(folder) };
}

test("a folder that is not there is an error with a remedy", async () => {
  const { code, stderr } = await run((folder) => join(folder, "missing"));
  expect(code).toBe(1);
  expect(stderr).toContain("no private folder can be made in");
  expect(stderr).toContain("--scratch FOLDER");
});

test("a redis-server that is to compare values and can't be run is an error before anything is asked", async () => {
  const missing = "/nowhere/redis-server";
  const { code, stderr, files } = await run((folder) => folder, {}, "--server", missing);
  expect([code, files]).toEqual([1, ["NEW.conf"]]);
  expect(stderr).toContain(`${missing}, which compares values before the switch, can't be run`);
  expect(stderr).toContain("--no-verify");
});

test.each([
  ["no password can be read", { TWINE_PASSWORD_FILE: "/nowhere/password" }, "/nowhere/password"],
  ["no status node answers", {}, "status node"],
])("no folder stays when %s", async (_, env, text) => {
  const { code, stderr, files } = await run((folder) => folder, env);
  expect(code).toBe(1);
  expect(stderr).toContain(text);
  expect(stderr).toContain("remedy:");
  expect(files).toEqual(["NEW.conf"]);
});
