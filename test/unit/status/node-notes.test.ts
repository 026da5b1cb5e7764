import { expect, test } from "vitest";
import { renderJson } from "../../../runtime/status/json.ts";
import { renderList } from "../../../runtime/status/list.ts";
import { parseView } from "../../../runtime/core/parse-view.ts";
import { renderSummary } from "../../../runtime/status/summary.ts";
import { renderXml } from "../../../runtime/status/xml.ts";
import { exampleView, inMotion, reportOn } from "./example-reports.ts";

test("where a rescue lies, what was not saved and who leaves is told, the worst first", () => {
  const { problems } = inMotion();
  expect(problems.map(({ code, subject, severity }) => [code, subject, severity])).toEqual([
    ["RESCUE_FAILED", "a6668", "DEGRADED"],
    ["RESCUED", "a6667", "NOTE"],
    ["RETIRING", "b7668", "NOTE"],
  ]);
  expect(problems[0]?.text).toContain("the disk is full");
  expect(problems[0]?.remedy).toContain("twine-stop a6668; copy its data folder");
  expect(problems[1]?.text).toContain("accepted writes 2 times");
  expect(problems[1]?.text).toContain("m2:/rescue/a6667-2-9.rdb, m1:/rescue/a6667-3-17.rdb");
  expect(problems[1]?.remedy).toContain("twine-failover --forget-rescue a6667");
});

test("a rescue that somebody has seen to is told by no format", () => {
  const view = exampleView();
  const saved = { runId: "run", kind: "saved", place: "m1:/x.rdb", why: "", at: "" } as const;
  const nodes = view.nodes.map((node) =>
    node.name === "a6667"
      ? { ...node, rescue: { ...saved, isSeen: true }, earlierRescues: [saved] }
      : node,
  );
  const report = reportOn({ ...view, nodes });
  expect(report.problems).toEqual([]);
  for (const text of [renderList(report), renderXml(report), renderJson(report)]) {
    expect(text).not.toContain("x.rdb");
  }
});

test("what was saved before a rescue that failed is told beside it, without a command that is refused", () => {
  const view = exampleView();
  const saved = { runId: "run", kind: "saved", place: "m1:/x.rdb", why: "", at: "" } as const;
  const kept = { ...saved, kind: "kept", place: null, why: "full" } as const;
  const nodes = view.nodes.map((node) =>
    node.name === "a6667" ? { ...node, rescue: kept, earlierRescues: [saved] } : node,
  );
  const { problems } = reportOn({ ...view, nodes });
  expect(problems.map(({ code }) => code)).toEqual(["RESCUE_FAILED", "RESCUED"]);
  expect(problems[1]?.text).toContain("m1:/x.rdb");
  expect(problems[1]?.remedy).toBeNull();
});

test("every format names the file of a rescue", () => {
  const report = inMotion();
  expect(renderSummary(report, { color: false, width: 100 })).toContain(
    "m1:/rescue/a6667-3-17.rdb",
  );
  expect(renderList(report)).toMatch(/^a6667 .* m1:\/rescue\/a6667-3-17\.rdb$/m);
  expect(renderList(report)).toMatch(/^a6668 .* kept$/m);
  const xml = renderXml(report);
  expect(xml).toContain('<rescue runId="run" kind="saved" place="m1:/rescue/a6667-3-17.rdb"');
  expect(xml).toMatch(/<rescue .*replicationId="8a1c" offset="4711"/);
  expect(xml).toContain('<earlierRescue runId="run" kind="saved" place="m2:/rescue/a6667-2-9.rdb"');
  expect(xml).toContain('<handover from="a6666" to="a6667" phase="pause"/>');
  expect(xml).toMatch(/<node name="b7668" .*retiring="true"/);
});

test("the list keeps its seven columns while nothing was rescued", () => {
  const [head = ""] = renderList(reportOn(exampleView())).split("\n");
  expect(head.split(/ +/)).toHaveLength(7);
});

test.each([
  ["a rescue without a run", { rescue: { kind: "saved" } }],
  [
    "a rescue of an unknown kind",
    { rescue: { runId: "", kind: "x", place: null, why: "", at: "" } },
  ],
  [
    "a rescue that reaches nowhere",
    {
      rescue: { runId: "", kind: "saved", place: "", why: "", at: "", upTo: { offset: 1 } },
    },
  ],
  ["an earlier rescue without a run", { earlierRescues: [{ kind: "saved" }] }],
  ["retiring that is no truth value", { retiring: "yes" }],
])("a view with %s is refused by name", (_what, change) => {
  const view = exampleView();
  const nodes = view.nodes.map((node, at) => (at === 0 ? { ...node, ...change } : node));
  expect(() => parseView(JSON.stringify({ ...view, nodes }))).toThrow(
    /nodes\[0\]\.(rescue|earlierRescues|retiring)/,
  );
});

test("a dead node that runs a script is not to be started: it runs", () => {
  const view = exampleView();
  const busy = {
    code: "BUSY",
    text: "runs a script",
    remedy: "redis-cli SHUTDOWN NOSAVE",
  } as const;
  const nodes = view.nodes.map((node) =>
    node.name === "a6667" ? { ...node, role: "dead" as const, troubles: [busy] } : node,
  );
  const { problems } = reportOn({ ...view, nodes });
  const told = problems.filter(({ subject }) => subject === "a6667");
  expect(told.map(({ code, remedy }) => [code, remedy])).toEqual([
    ["NODE_DEAD", null],
    ["BUSY", busy.remedy],
  ]);
});
