import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
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

test("a folder is made, stamped, and claimed again by the same cluster", () => {
  const below = join(folder, "volumes/m1");
  claimFolder(below, "shop");
  claimFolder(below, "shop");
  expect(readFileSync(join(below, "twine-stamp"), "utf8")).toBe("cluster shop\n");
});

test("another cluster's is refused and left as it is", () => {
  claimFolder(folder, "shop");
  writeFileSync(join(folder, "rescued"), "");
  expect(() => {
    claimFolder(folder, "blog");
  }).toThrow(/belongs to 'cluster shop', not to 'cluster blog'; nothing was touched/);
  expect(readFileSync(join(folder, "twine-stamp"), "utf8")).toBe("cluster shop\n");
  expect(readdirSync(folder).sort()).toEqual(["rescued", "twine-stamp"]);
});

test("a stamp that a full disk left empty is nobody's", () => {
  writeFileSync(join(folder, "twine-stamp"), "");
  claimFolder(folder, "shop");
  expect(readFileSync(join(folder, "twine-stamp"), "utf8")).toBe("cluster shop\n");
});

test("a folder that can't be one is told with what stands against it", () => {
  const file = join(folder, "file");
  writeFileSync(file, "");
  expect(() => {
    claimFolder(file, "shop");
  }).toThrow(/the folder .*file can't be written: E/);
});
