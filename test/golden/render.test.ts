// render.test.ts: what each golden case's twine.conf becomes, held to the byte.
// `npm run golden:accept` rewrites the expected trees; their diff is reviewed as a change in behaviour.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Plan } from "../../infra/plan/plan.ts";
import { CASES, CASES_FOLDER, renderCase, type GoldenCase } from "./render-cases.ts";

const isAccepting = process.env["TWINE_GOLDEN"] === "accept";

/** Path below expected/ -> text. */
function expectedTree(golden: GoldenCase): Map<string, string> {
  const { plan, files } = renderCase(golden);
  const tree = new Map<string, string>();
  const isSmall = files.every((file) => golden.isKeptWhole(file.path));
  tree.set(isSmall ? "plan.json" : "plan-summary.json", planText(plan, isSmall));
  for (const file of files) {
    if (golden.isKeptWhole(file.path)) tree.set(join("files", file.path), file.text);
  }
  const sums = files.map(({ path, text, mode }) => `${digest(text)} ${mode.toString(8)} ${path}`);
  tree.set("sha256", `${sums.join("\n")}\n`);
  return tree;
}

function planText(plan: Plan, isSmall: boolean): string {
  const summary = plan.hosts.map((host) => ({
    name: host.name,
    address: host.address,
    services: host.services.map(
      ({ name, order, ports }) => `${order} ${name} ${ports.map(({ port }) => port).join(" ")}`,
    ),
  }));
  return `${JSON.stringify(isSmall ? plan : { ...plan, hosts: summary }, null, 2)}\n`;
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function readTree(folder: string): Map<string, string> {
  const entries = existsSync(folder)
    ? readdirSync(folder, { recursive: true, withFileTypes: true })
    : [];
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  return new Map(files.map((path) => [path.slice(folder.length + 1), readFileSync(path, "utf8")]));
}

function sorted(tree: ReadonlyMap<string, string>): Record<string, string> {
  return Object.fromEntries([...tree].sort(([a], [b]) => (a < b ? -1 : 1)));
}

describe.each(CASES)("golden case $name", (golden) => {
  test("its plan and files are those that were accepted", () => {
    const folder = join(CASES_FOLDER, golden.name, "expected");
    const tree = expectedTree(golden);
    if (isAccepting && process.env["CI"] === undefined) {
      rmSync(folder, { recursive: true, force: true });
      for (const [path, text] of tree) {
        mkdirSync(dirname(join(folder, path)), { recursive: true });
        writeFileSync(join(folder, path), text);
      }
    }
    expect(sorted(readTree(folder))).toEqual(sorted(tree));
  });
});
