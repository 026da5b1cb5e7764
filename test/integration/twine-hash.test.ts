// twine-hash.test.ts: the tool as a person calls it, each time a real process in a folder of its
// own.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { builtinPartition } from "../../runtime/core/hash/partition-function.ts";
import { binPath } from "../support/bins.ts";
import { runCommand, type Ran } from "../support/run-tool.ts";
import { isMissing } from "../support/programs.ts";

interface Place {
  readonly folder: string;
  readonly hash: (...args: string[]) => Promise<Ran>;
}

/** A folder with these files in it, and twine-hash called there. */
async function place(files: Readonly<Record<string, string>> = {}): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), "twine-hash-bin-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(folder, name), text, { mode: 0o755 });
  }
  const bin = binPath("twine-hash", "runtime");
  const env = { TWINE_CONF: "" };
  return {
    folder,
    hash: (...args) => runCommand(process.execPath, [bin, ...args], { cwd: folder, env }),
  };
}

const printed = (text: string): Ran => ({ code: 0, stdout: `${text}\n`, stderr: "" });
const NODES = "a=data 0 localhost 7001 0\nb=data 1 localhost 7002 0\nc=data 2 localhost 7003 0\n";

describe("twine-hash", () => {
  test("prints the partition of a key by crc32 where there is no twine.conf", async () => {
    const { hash } = await place();
    expect(await hash("foo", "64")).toEqual(printed(String(crc32("foo") % 64)));
    expect(await hash("", "64")).toEqual(printed("0"));
  });

  test("takes hash, hash-tag and the number of partitions from twine.conf", async () => {
    const { hash } = await place({
      "twine.conf": `${NODES}hash twemproxy-fnv1a_64\nhash-tag {}\n`,
    });
    expect(await hash("a{apple}b")).toEqual(printed(String(1488911807 % 3)));
    expect(await hash("{apple}", "1000")).toEqual(printed("807"));
    expect(await hash("{apple}", "1000", "--hash", "twemproxy-murmur")).toEqual(printed("122"));
  });

  test("runs the module or executable that twine.conf names, wherever it is called", async () => {
    const conf = `${NODES}hash ./mine\n`;
    const { folder } = await place({ "twine.conf": conf, mine: '#!/bin/sh\necho "${#1}"\n' });
    const elsewhere = await place();
    const file = join(folder, "twine.conf");
    expect(await elsewhere.hash("ab", "--conf", file)).toEqual(printed("2"));
    const failed = await elsewhere.hash("abc", "--conf", file);
    expect(failed).toMatchObject({ code: 1, stdout: "" });
    expect(failed.stderr).toContain("hash ./mine printed '3' for the key 'abc'");
  });

  test("runs a module named on the command line", async () => {
    const { hash } = await place({ "h.mjs": "export default (key, n) => (key[0] + 1) % n;" });
    expect(await hash("a", "10", "--hash", "./h.mjs")).toEqual(printed("8"));
  });

  test("prints JSON when asked", async () => {
    const { hash } = await place();
    const ran = await hash("foo", "2", "--json");
    expect(JSON.parse(ran.stdout)).toEqual({ key: "foo", modulus: 2, hash: "crc32", partition: 1 });
  });

  test.each([["é"], ["a\u20acb"], ["\u{1f9f6}"]])(
    "refuses the key %s with exit code 2",
    async (key) => {
      const { hash } = await place();
      const ran = await hash(key, "2");
      expect(ran).toMatchObject({ code: 2, stdout: "" });
      expect(ran.stderr).toContain("not 7-bit ASCII");
      expect(ran.stderr).toContain("remedy:");
    },
  );

  test.each(["0", "-1", "1.5", "two", "1e3", "", "99999999999999999999"])(
    "refuses the modulus '%s' with exit code 2",
    async (modulus) => {
      const { hash } = await place();
      const ran = await hash("foo", modulus);
      expect(ran).toMatchObject({ code: 2, stdout: "" });
      expect(ran.stderr).toContain(`the modulus '${modulus}'`);
    },
  );

  test("refuses an unknown hash, no modulus and no key with exit code 2", async () => {
    const { hash } = await place();
    for (const [args, why] of [
      [["foo", "2", "--hash", "crc33"], "unknown hash 'crc33'"],
      [["foo"], "neither a modulus nor a twine.conf"],
      [[], "missing required argument 'key'"],
    ] as const) {
      const ran = await hash(...args);
      expect(ran).toMatchObject({ code: 2, stdout: "" });
      expect(ran.stderr).toContain(why);
    }
  });

  test("says what is wrong with a twine.conf rather than fall back to crc32", async () => {
    const { hash } = await place({ "twine.conf": `${NODES}hash crc33\n` });
    const broken = await hash("foo", "2");
    expect(broken).toMatchObject({ code: 1, stdout: "" });
    expect(broken.stderr).toContain("crc33");
    const missing = await hash("foo", "2", "--conf", "gone.conf");
    expect(missing).toMatchObject({ code: 1, stdout: "" });
    expect(missing.stderr).toContain("gone.conf: there is no such file");
  });
});

describe.skipIf(isMissing("python3"))("Red Cluster's crc32", () => {
  test("is zlib's, as Python computes it, for text keys of every length up to 64", async () => {
    const { hash, folder } = await place();
    const keys = Array.from({ length: 65 }, (_, at) => "user:10-Zz~".repeat(6).slice(0, at));
    const program =
      "import sys, zlib\n" +
      "for key in sys.stdin.read().split('\\n'): print(zlib.crc32(key.encode()) % 4093)";
    const python = await runCommand("python3", ["-c", program], {
      cwd: folder,
      input: keys.join("\n"),
    });
    const expected = python.stdout.trim().split("\n");
    const partitionOf = builtinPartition("crc32", 4093);
    expect(keys.map((key) => String(partitionOf(Buffer.from(key))))).toEqual(expected);
    expect((await hash(keys[40] ?? "", "4093")).stdout.trim()).toBe(expected[40]);
  });
});

test("--fingerprint prints what the function does, and takes neither a key nor --hash", async () => {
  const { hash } = await place({ "twine.conf": "a1=data 0 7001 0\nb1=data 1 7002 0\n" });
  expect(await hash("--fingerprint")).toMatchObject({ code: 0, stdout: "f80d7b23bfa4523e\n" });
  const { stdout } = await hash("--fingerprint", "--json");
  expect(JSON.parse(stdout)).toMatchObject({
    kind: "builtin",
    name: "crc32",
    partitions: 2,
    tag: null,
  });
  expect(await hash("--fingerprint", "foo")).toMatchObject({ code: 2, stdout: "" });
  expect(await hash()).toMatchObject({ code: 2, stdout: "" });
});
