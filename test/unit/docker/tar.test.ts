// Small files as an archive and back: the system's tar reads what is packed, and what it packs is read.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { packTar, readTar } from "../../../infra/docker/tar.ts";

const FILES = new Map([
  ["a", Buffer.from("x")],
  ["empty", Buffer.alloc(0)],
  ["just-a-block", Buffer.alloc(512, 7)],
  [`${"long/".repeat(25)}name`, Buffer.from("€\0")],
]);

test("packed here, unpacked by tar; packed by tar, read here", () => {
  const folder = mkdtempSync(join(tmpdir(), "twine-tar-"));
  try {
    const own = { mode: 0o644, uid: 0, gid: 0 };
    const packed = packTar([...FILES].map(([path, content]) => ({ path, content, ...own })));
    execFileSync("tar", ["-xf", "-", "-C", folder], { input: packed });
    for (const [path, content] of FILES) expect(readFileSync(join(folder, path))).toEqual(content);
    expect(readTar(packed)).toEqual(FILES);

    mkdirSync(join(folder, "etc"));
    writeFileSync(join(folder, "etc/one"), "1");
    const theirs = execFileSync("tar", ["--format=ustar", "-cf", "-", "-C", folder, "etc"]);
    expect(readTar(theirs)).toEqual(new Map([["etc/one", Buffer.from("1")]]));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("what is cut off, or no archive, gives the files before it and no error", () => {
  const packed = packTar([
    { path: "a", content: Buffer.from("1"), mode: 0o644, uid: 0, gid: 0 },
    { path: "b", content: Buffer.alloc(600), mode: 0o644, uid: 0, gid: 0 },
  ]);
  expect([...readTar(packed.subarray(0, 512 + 512 + 700)).keys()]).toEqual(["a"]);
  expect(readTar(Buffer.from("no archive at all".repeat(60))).size).toBe(0);
  expect(readTar(Buffer.alloc(0)).size).toBe(0);
});
