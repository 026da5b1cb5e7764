// seeds-page.test.ts: docs/seeds.md names files and tests that exist, and every statement has a place.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "../support/source-files.ts";

const PAGE = join(ROOT, "docs/seeds.md");

test("every link of docs/seeds.md leads to a file", () => {
  const links = [...readFileSync(PAGE, "utf8").matchAll(/\]\(([^)#]+)\)/g)].map(
    ([, to = ""]) => to,
  );
  expect(links.length).toBeGreaterThan(50);
  expect(links.filter((to) => !existsSync(join(dirname(PAGE), to)))).toEqual([]);
});

test("every statement says where it lives, and all but a few which test shows it", () => {
  const rows = readFileSync(PAGE, "utf8")
    .split("\n")
    .filter((line) => line.startsWith("| ") && !/^\| (statement|---)/.test(line))
    .map((line) => line.split("|").map((cell) => cell.trim()));
  expect(rows.filter(([, , place = ""]) => place === "")).toEqual([]);
  const untested = rows.filter(([, , , shown = ""]) => !shown.includes(".test.ts"));
  // The licence, the simulation's own page, benchmarks, and what is not there yet.
  expect(untested.length).toBeLessThanOrEqual(4);
});
