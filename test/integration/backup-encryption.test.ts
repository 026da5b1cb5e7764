// Encrypted backups as a person uses them, on a whole cluster of real processes; and against the age program itself.
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { expect, onTestFinished, test } from "vitest";
import { readIdentities, readRecipients } from "../../runtime/backup/encryption.ts";
import { parseManifest } from "../../runtime/backup/manifest.ts";
import { firstBackup, startedCluster, twoPartitions } from "../support/one-partition.ts";
import { isMissing } from "../support/programs.ts";
import { runTool } from "../support/run-tool.ts";

const LINES = [
  "cluster sealed",
  "backup-dir backups",
  "backup-every 1d",
  "backup-compress zstd",
  "redis repl-diskless-sync-delay 0",
];
const KEYS = ["foo", "bar", "baz", "{x}"];

const isAgeMissing = isMissing("age", "age-keygen");

test("the cluster encrypts and can't read; whoever has the identity verifies and restores; nobody else does", async () => {
  const keys = await mkdtemp(join(tmpdir(), "twine-keys-"));
  onTestFinished(() => rm(keys, { recursive: true, force: true }));
  const [own, other] = [await generateX25519Identity(), await generateX25519Identity()];
  const [publicKey, otherKey] = [await identityToRecipient(own), await identityToRecipient(other)];
  const [identity, wrong] = [join(keys, "identity"), join(keys, "wrong")];
  writeFileSync(join(keys, "backup.pub"), `# of the tests\n${publicKey}\n`);
  writeFileSync(identity, `${own}\n`, { mode: 0o600 });
  writeFileSync(wrong, `${other}\n`, { mode: 0o600 });

  const cluster = await startedCluster(
    twoPartitions(...LINES, `backup-key ${join(keys, "backup.pub")}`),
  );
  const { file } = cluster.config;
  const write = async (value: string): Promise<void> => {
    for (const key of KEYS)
      await cluster.ask(crc32(key) % 2 === 0 ? "a1" : "b1", "SET", key, value);
    // One that lies where it does not belong: its name is data, too.
    await cluster.ask(crc32("astray") % 2 === 0 ? "b1" : "a1", "SET", "astray", value);
  };
  await write("a plain secret");
  await cluster.viewWhere("OK", ({ state }) => state === "OK");
  await firstBackup(cluster);
  const taken = await runTool("runtime", "twine-backup", file);
  expect([taken.code, taken.err]).toEqual([0, expect.not.stringContaining("error")]);
  const id = taken.out.slice(0, taken.out.indexOf(":"));
  const place = join(cluster.folder, "backups", id);
  // The feed up to the cut of all partitions is data as well.
  expect(readdirSync(place).toSorted()).toEqual([
    "manifest.json",
    "partition-0.feed.zst.age",
    "partition-0.rdb.zst.age",
    "partition-1.feed.zst.age",
    "partition-1.rdb.zst.age",
  ]);
  for (const name of readdirSync(place).filter((one) => one.endsWith(".age")))
    expect(readFileSync(join(place, name), "latin1")).toMatch(/^age-encryption\.org\/v1\n/);
  const text = readFileSync(join(place, "manifest.json"), "utf8");
  const parsed = parseManifest(text);
  if (parsed.kind !== "parsed") throw new Error(parsed.why);
  expect(parsed.value.encryption).toEqual({ kind: "age", recipients: [publicKey] });
  const strayed = parsed.value.partitions.map(({ misplaced }) => misplaced);
  expect(strayed.toSorted((a, b) => a.count - b.count)).toEqual([
    { count: 0, examples: [] },
    { count: 1, examples: [] },
  ]);
  expect(text).not.toMatch(/(rdb|feed)Sha256/);

  const tool = (...args: string[]) => runTool("runtime", "twine-backup", file, ...args);
  const unread = await tool("--verify", "latest");
  expect([unread.code, unread.out]).toEqual([0, expect.stringContaining("only its digests")]);
  const read = await tool("--verify", "latest", "--identity", identity);
  expect([read.code, read.out]).toEqual([0, expect.not.stringContaining("only its digests")]);
  const refused = await tool("--verify", "latest", "--identity", wrong);
  expect(refused.code).toBe(1);
  expect(refused.err).toContain(`is encrypted to ${publicKey}`);
  expect(refused.err).toContain(`${wrong} holds the key of ${otherKey}`);
  // The key was wrong, and not the backup.
  expect((await tool("--list")).out).not.toContain("BROKEN");
  const unused = await tool("--list", "--identity", identity);
  expect([unused.code, unused.err]).toEqual([
    2,
    expect.stringContaining("--identity is for --verify"),
  ]);

  await write("written later");
  const restore = (...args: string[]) =>
    runTool("runtime", "twine-restore", file, "latest", "--yes", ...args);
  for (const [args, why] of [
    [[], "--identity FILE"],
    [["--identity", wrong], `holds the key of ${otherKey}`],
    [["--identity", join(keys, "backup.pub")], "this is a public key"],
  ] as const) {
    const { code, err } = await restore(...args);
    expect([code, err]).toEqual([1, expect.stringContaining(why)]);
  }
  const values = () =>
    Promise.all(KEYS.map((key) => cluster.ask(crc32(key) % 2 === 0 ? "a1" : "b1", "GET", key)));
  expect(new Set(await values())).toEqual(new Set(["written later"]));
  const restored = await restore("--identity", identity);
  expect([restored.code, restored.err]).toEqual([0, expect.not.stringContaining("error")]);
  const view = await cluster.viewWhere("OK", ({ state }) => state === "OK");
  const masters = view.partitions.map(({ master }) => master ?? "");
  const found = await Promise.all(
    KEYS.map((key) => cluster.ask(masters[crc32(key) % 2] ?? "", "GET", key)),
  );
  expect(new Set(found)).toEqual(new Set(["a plain secret"]));

  writeFileSync(join(keys, "backup.pub"), `${own}\n`);
  const unsafe = await tool();
  expect(unsafe.code).toBe(1);
  expect(unsafe.err).toMatch(/backup\.pub:1:1: this is a secret key/);
  expect(unsafe.err).not.toContain(own);
}, 240_000);

test.skipIf(isAgeMissing)(
  "the age program opens what Twine sealed, and Twine what it sealed",
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "twine-age-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const plain = Buffer.alloc(300_000, "some text, ");
    const [identity, recipient] = [join(folder, "identity"), join(folder, "backup.pub")];
    execFileSync("age-keygen", ["-o", identity], { stdio: "ignore" });
    writeFileSync(recipient, execFileSync("age-keygen", ["-y", identity]));
    const sealer = await (await readRecipients(recipient)).seal();
    const ours = join(folder, "ours.age");
    writeFileSync(ours, Buffer.concat([...(await sealer.push(plain)), ...(await sealer.end())]));
    expect(execFileSync("age", ["-d", "-i", identity, ours]).equals(plain)).toBe(true);

    writeFileSync(join(folder, "plain"), plain);
    const theirs = join(folder, "theirs.age");
    execFileSync("age", ["-R", recipient, "-o", theirs, join(folder, "plain")]);
    const chunks = (async function* () {
      yield await Promise.resolve(readFileSync(theirs));
    })();
    const parts: Buffer[] = [];
    for await (const part of (await readIdentities(identity)).open(chunks)) parts.push(part);
    expect(Buffer.concat(parts).equals(plain)).toBe(true);
  },
);
