// password-file.test.ts: the file that TWINE_PASSWORD_FILE names: one password or two, and followed while a process runs.
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { readPassword, readPasswords } from "../../../runtime/cli/password-file.ts";
import { credentialsOf, derived } from "../../../runtime/core/credentials.ts";
import { until } from "../../support/redis-server.ts";

async function fileWith(text: string): Promise<{ file: string; env: NodeJS.ProcessEnv }> {
  const folder = await mkdtemp(join(tmpdir(), "twine-password-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, "password");
  await writeFile(file, text, { mode: 0o600 });
  return { file, env: { TWINE_PASSWORD_FILE: file } };
}

test("one line is the password, two are a rotation, three are refused, as is white space", async () => {
  expect(readPasswords((await fileWith("one\n")).env)).toEqual(["one"]);
  expect(readPasswords((await fileWith("one\ntwo\n")).env)).toEqual(["one", "two"]);
  expect(readPasswords({})).toBeUndefined();
  for (const text of ["", "one\ntwo\nthree\n", "one two\n"]) {
    const { env } = await fileWith(text);
    expect(() => readPasswords(env)).toThrow(/PASSWORD_FILE holds/);
  }
});

test("credentials follow a changed file, and a broken one changes nothing", async () => {
  const { file, env } = await fileWith("old\n");
  const credentials = credentialsOf("monitor", readPassword(env));
  expect(credentials?.password).toBe(derived("monitor", "old"));
  const replace = async (text: string): Promise<void> => {
    await writeFile(`${file}.new`, text, { mode: 0o600 });
    await rename(`${file}.new`, file);
  };
  await replace("new\nold\n");
  await until("the new one is used", () => credentials?.password === derived("monitor", "new"));
  expect(credentials?.fallback).toBe(derived("monitor", "old"));
  await replace("");
  await rm(file);
  expect(credentials?.password).toBe(derived("monitor", "new"));
});
