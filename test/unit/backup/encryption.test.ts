// Encryption to public keys in the age format.
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  generateHybridIdentity,
  generateX25519Identity,
  identityToRecipient,
} from "age-encryption";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { parseAgeKeys } from "../../../runtime/core/age-keys.ts";
import {
  readIdentities,
  readRecipients,
  requireIdentity,
} from "../../../runtime/backup/encryption.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "twine-age-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
});

async function keyFiles(name: string, secrets: readonly string[]) {
  const [identity, recipient] = [join(folder, `${name}.key`), join(folder, `${name}.pub`)];
  const publics = await Promise.all(secrets.map((secret) => identityToRecipient(secret)));
  writeFileSync(identity, `# created by a test\n\n${secrets.join("\n")}\n`, { mode: 0o600 });
  writeFileSync(
    recipient,
    publics
      .map(
        (key) => `${key}
`,
      )
      .join(""),
  );
  return { identity, recipient, publics };
}

async function sealed(recipient: string, plain: Buffer, piece = 10_000): Promise<Buffer> {
  const sealer = await (await readRecipients(recipient)).seal();
  const parts: Buffer[] = [];
  // The same memory for every piece, as a socket may use it.
  const shared = Buffer.alloc(piece);
  for (let at = 0; at < plain.length; at += piece) {
    const length = plain.copy(shared, 0, at, at + piece);
    parts.push(...(await sealer.push(shared.subarray(0, length))));
  }
  parts.push(...(await sealer.end()));
  return Buffer.concat(parts);
}

async function opened(identity: string, stored: Buffer): Promise<Buffer> {
  const chunks = (async function* () {
    for (let at = 0; at < stored.length; at += 7000)
      yield await Promise.resolve(stored.subarray(at, at + 7000));
  })();
  const parts: Buffer[] = [];
  for await (const part of (await readIdentities(identity)).open(chunks)) parts.push(part);
  return Buffer.concat(parts);
}

const PLAIN = randomBytes(300_000);

test.each([
  ["X25519", generateX25519Identity],
  ["post-quantum", generateHybridIdentity],
])(
  "what is sealed to a key of %s is opened by its secret key, and by no other",
  async (_, make) => {
    const own = await keyFiles("own", [await make()]);
    const other = await keyFiles("other", [await make()]);
    for (const plain of [PLAIN, Buffer.alloc(0), PLAIN.subarray(0, 65_536)]) {
      const stored = await sealed(own.recipient, plain);
      expect(stored.includes(PLAIN.subarray(0, 32))).toBe(false);
      expect((await opened(own.identity, stored)).equals(plain)).toBe(true);
      await expect(opened(other.identity, stored)).rejects.toThrow();
    }
  },
);

test("each of several keys opens it alone", async () => {
  const secrets = [await generateX25519Identity(), await generateX25519Identity()];
  const both = await keyFiles("both", secrets);
  const stored = await sealed(both.recipient, PLAIN);
  for (const secret of secrets) {
    const one = await keyFiles("one", [secret]);
    expect((await opened(one.identity, stored)).equals(PLAIN)).toBe(true);
  }
});

test("a byte that is changed anywhere, or an end that is missing, is an error", async () => {
  const own = await keyFiles("own", [await generateX25519Identity()]);
  const stored = await sealed(own.recipient, PLAIN);
  for (const at of [0, 100, 1000, 150_000, stored.length - 1]) {
    const changed = Buffer.from(stored);
    changed[at] = (changed[at] ?? 0) ^ 1;
    await expect(opened(own.identity, changed), `byte ${at}`).rejects.toThrow();
  }
  for (const length of [0, 50, 1000, 65_536, 200_000, stored.length - 1])
    await expect(opened(own.identity, stored.subarray(0, length)), `${length}`).rejects.toThrow();
});

test("memory is bounded whatever the size", async () => {
  const own = await keyFiles("own", [await generateX25519Identity()]);
  const sealer = await (await readRecipients(own.recipient)).seal();
  const piece = Buffer.alloc(65_536);
  let [most, bytes] = [0, 0];
  for (let count = 0; count < 500; count++) {
    const held = (await sealer.push(piece)).reduce((sum, part) => sum + part.length, 0);
    most = Math.max(most, held);
    bytes += held;
  }
  const last = (await sealer.end()).reduce((sum, part) => sum + part.length, 0);
  expect(bytes + last).toBeGreaterThan(500 * piece.length);
  // What comes out is handed on as it comes, and never gathered.
  expect(Math.max(most, last)).toBeLessThan(6 * piece.length);
});

describe("files of keys", () => {
  const problems = (text: string, kind: "public" | "secret") =>
    parseAgeKeys(text, "keys", kind).problems.map(
      ({ code, at, message }) => `${code} ${at?.line ?? 0}:${at?.column ?? 0} ${message}`,
    );

  test("say what is wrong, with its place, and never show the line", async () => {
    const secret = await generateX25519Identity();
    const open = await identityToRecipient(secret);
    expect(problems(`# mine\n${open}\r\n`, "public")).toEqual([]);
    expect(problems(`\n  ${secret}\n`, "public")).toEqual([
      expect.stringMatching(/^BACKUP_KEY_BAD 2:3 this is a secret key/),
    ]);
    expect(problems(open, "secret")).toEqual([
      expect.stringMatching(/^IDENTITY_BAD 1:1 this is a public key/),
    ]);
    expect(problems("ssh-ed25519 AAAA", "public")).toEqual([
      expect.stringContaining("SSH keys are not supported"),
    ]);
    expect(problems("-----BEGIN AGE ENCRYPTED FILE-----\nabc\n", "secret")).toEqual([
      expect.stringContaining("is itself encrypted"),
      expect.stringContaining("no secret key of age"),
    ]);
    expect(problems("# nothing\n", "public")).toEqual([expect.stringContaining("holds no key")]);
    expect(JSON.stringify(parseAgeKeys(`x${secret}`, "keys", "secret"))).not.toContain(secret);
  });

  test("with a damaged key, or not there, are refused", async () => {
    const { identity, recipient, publics } = await keyFiles("own", [
      await generateX25519Identity(),
    ]);
    const [key = ""] = publics;
    const wrong = key.slice(0, -1) + (key.endsWith("q") ? "p" : "q");
    writeFileSync(recipient, `${key}\n${wrong}\n`);
    await expect(readRecipients(recipient)).rejects.toMatchObject({
      code: "BACKUP_KEY_BAD",
      message: expect.stringContaining("key 2 is damaged") as string,
    });
    const secret = readFileSync(identity, "utf8").trim();
    writeFileSync(identity, secret.slice(0, -1) + (secret.endsWith("Q") ? "P" : "Q"));
    await expect(readIdentities(identity)).rejects.toMatchObject({ code: "IDENTITY_BAD" });
    await expect(readIdentities(join(folder, "none"))).rejects.toThrow(/--identity .*none.*ENOENT/);
    await expect(readRecipients(folder)).rejects.toThrow(/backup-key .* is not a regular file/);
  });

  test("that fit nothing say which keys are needed, and which are here", async () => {
    const own = await keyFiles("own", [await generateX25519Identity()]);
    const other = await keyFiles("other", [await generateX25519Identity()]);
    const [a = "", b = ""] = [own.publics[0], other.publics[0]];
    const identities = await readIdentities(other.identity);
    expect(() => requireIdentity("x", [a], identities)).toThrow(
      new RegExp(`x is encrypted to ${a}, and .*other.key holds the key of ${b}`),
    );
    expect(() => requireIdentity("x", [a], undefined)).toThrow(/remedy: .*--identity FILE/);
    expect(requireIdentity("x", [a, b], identities)).toBe(identities);
  });
});
