import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { claimFolder } from "../../../runtime/cli/claim-folder.ts";

let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "twine-claim-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

test("a new volume is stamped, and claimed again by the same cluster whatever it holds then", () => {
  mkdirSync(join(folder, "lost+found"));
  mkdirSync(join(folder, "rescue"));
  writeFileSync(join(folder, "twine-stamp"), "");
  expect(claimFolder(folder, "shop")).toBeUndefined();
  writeFileSync(join(folder, "something"), "");
  expect(claimFolder(folder, "shop")).toBeUndefined();
  expect(readFileSync(join(folder, "twine-stamp"), "utf8")).toBe("cluster shop\n");
});

test("another cluster's is refused and left as it is", () => {
  claimFolder(folder, "shop");
  expect(() => claimFolder(folder, "blog")).toThrow(
    /belongs to 'cluster shop', not to 'cluster blog'; nothing was touched/,
  );
  expect(readFileSync(join(folder, "twine-stamp"), "utf8")).toBe("cluster shop\n");
});

test("one that holds what nobody stamped is refused and left as it is", () => {
  writeFileSync(join(folder, "dump.rdb"), "");
  expect(() => claimFolder(folder, "shop")).toThrow(
    /holds dump\.rdb and no stamp that says whose it is; nothing was touched/,
  );
  expect(readdirSync(folder)).toEqual(["dump.rdb"]);
});

test("one that can't be looked into is refused: it may be anybody's", () => {
  // A file in the folder's place can't be listed either, not even by root, who may read everything else.
  const closed = join(folder, "closed");
  writeFileSync(closed, "");
  expect(() => claimFolder(closed, "shop")).toThrow(
    /can't be read, so it may be somebody else's \(ENOTDIR/,
  );
  mkdirSync(join(folder, "twine-stamp"));
  expect(() => claimFolder(folder, "shop")).toThrow(/can't be read.*EISDIR/);
});

test("one that can't be used is a warning that says what is lost by it", () => {
  const warning = claimFolder(join(folder, "nowhere"), "shop");
  expect(warning?.message).toMatch(/nowhere can't be written \(ENOENT.*can't be saved here/);
  expect(warning?.remedy).toMatch(/belongs to user 1000/);
});
