// plan-words.test.ts: what twine-plan and `pulumi preview` say of a change of twine.conf, held to the letter.
//   plan-words/CASE/{old.conf,new.conf} -> expected.txt
// `npm run golden:accept` rewrites expected.txt; its diff is reviewed as a change in behaviour.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  diffPlans,
  isSame,
  type PlanDifference,
  type PlannedCluster,
} from "../../infra/plan/diff-plans.ts";
import { planCluster } from "../../infra/plan/plan-cluster.ts";
import { differenceLines, planLines } from "../../infra/plan/plan-words.ts";
import { CASES_FOLDER, configOf } from "./render-cases.ts";

const FOLDER = join(import.meta.dirname, "plan-words");
const isAccepting = process.env["TWINE_GOLDEN"] === "accept" && process.env["CI"] === undefined;

function planned(file: string): PlannedCluster {
  const config = configOf(readFileSync(file, "utf8"));
  return { config, plan: planCluster(config, { confPath: "/srv/twine.conf", hasPassword: true }) };
}

function difference(name: string, from = "old.conf", to = "new.conf"): PlanDifference {
  return diffPlans(planned(join(FOLDER, name, from)), planned(join(FOLDER, name, to)));
}

function expectGolden(file: string, lines: readonly string[]): void {
  const text = lines.map((line) => `${line}\n`).join("");
  if (isAccepting) writeFileSync(file, text);
  expect(text).toBe(readFileSync(file, "utf8"));
}

const CHANGES = readdirSync(FOLDER, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name);

describe("a plan in words", () => {
  test("host by host, then partition by partition", () => {
    const lines = planLines(planned(join(CASES_FOLDER, "three-hosts", "twine.conf")));
    expectGolden(join(FOLDER, "three-hosts.txt"), lines);
  });
});

describe.each(CHANGES)("the difference in %s", (name) => {
  test("is told in the accepted words", () => {
    expectGolden(join(FOLDER, name, "expected.txt"), differenceLines(difference(name)));
  });

  test("and none is told of a plan and itself, nor one without its way back", () => {
    expect(isSame(difference(name, "new.conf", "new.conf"))).toBe(true);
    const [there, back] = [difference(name), difference(name, "new.conf", "old.conf")];
    expect(isSame(back)).toBe(isSame(there));
    const places = ({ services }: PlanDifference, kind: string): string[] =>
      services.filter((one) => one.kind === kind).map(({ host, service }) => `${host} ${service}`);
    expect(places(back, "removed")).toEqual(places(there, "created"));
    expect(places(back, "created")).toEqual(places(there, "removed"));
  });
});

test("the master that is known counts, not the preferred one", () => {
  const [before, after] = ["old.conf", "new.conf"].map((file) =>
    planned(join(FOLDER, "move-a-replica", file)),
  );
  if (before === undefined || after === undefined) throw new Error("both were read");
  const [change] = diffPlans(before, after, new Map([[1, "b2"]])).changes;
  expect(change?.text).toBe(
    "partition 1: master b2 moves from db3 to db1:7667: one full sync, one handover to b1, no key changes partition",
  );
});
