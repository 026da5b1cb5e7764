// http-token.test.ts: what counts as the token, and which files may hold one.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { readHttpToken, showsToken } from "../../../runtime/ports/http-token.ts";
import { configOf } from "../../golden/render-cases.ts";

const TOKEN = "0123456789abcdef";
const basic = (text: string): string => `Basic ${Buffer.from(text).toString("base64")}`;

test("the token is shown as a bearer's, or as the password of any user, and by nothing else", () => {
  for (const header of [`Bearer ${TOKEN}`, `bearer  ${TOKEN}`, basic(`ops:${TOKEN}`)]) {
    expect(showsToken(header, TOKEN), header).toBe(true);
  }
  const wrong = [
    ...[undefined, "", TOKEN, "Bearer", `Bearer ${TOKEN}x`, `Bearer ${TOKEN.slice(1)}`],
    ...[`Bearer ${TOKEN} x`, basic(`${TOKEN}:`), basic(`ops:x${TOKEN}`), "Basic !!!"],
    `Digest ${TOKEN}`,
  ];
  for (const header of wrong) expect(showsToken(header, TOKEN), header).toBe(false);
});

test("a file is refused that is missing, blocks, is open to others, or holds no long token", () => {
  const folder = mkdtempSync(join(tmpdir(), "twine-token-"));
  onTestFinished(() => {
    rmSync(folder, { recursive: true });
  });
  const nodes =
    "a1=data 0 localhost 7001 0\ns1=status localhost 7002 0\nm1=monitor localhost 7003\n";
  const read = (line: string): string | undefined =>
    readHttpToken(configOf(`${nodes}${line}`, join(folder, "twine.conf")));
  expect(read("")).toBeUndefined();
  expect(() => read("http-token none")).toThrow(/http-token: ENOENT/);
  expect(() => read("http-token /dev/zero")).toThrow(/not a regular file/);
  const write = (text: string, mode: number): void => {
    writeFileSync(join(folder, "token"), text);
    chmodSync(join(folder, "token"), mode);
  };
  write(`${TOKEN}\n`, 0o644);
  expect(() => read("http-token token")).toThrow(/has the mode 644/);
  for (const text of ["", "short\n", `${TOKEN} ${TOKEN}\n`]) {
    write(text, 0o600);
    expect(() => read("http-token token")).toThrow(/no token of 16/);
  }
  write(`${TOKEN}\n`, 0o600);
  expect(read("http-token token")).toBe(TOKEN);
});
