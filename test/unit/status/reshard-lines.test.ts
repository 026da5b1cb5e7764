import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { packageRoot } from "../../../runtime/cli/package-root.ts";
import { builtinHashing } from "../../../runtime/core/hashing.ts";
import type { Request } from "../../../runtime/core/request.ts";
import { SOURCES_MAX } from "../../../runtime/core/reshard-progress.ts";
import { readEntry } from "../../../runtime/core/shared-entries.ts";
import type { ReshardView } from "../../../runtime/core/view.ts";
import { reshardProgressIn } from "../../../runtime/register/reshard-progress.ts";
import { renderHtml } from "../../../runtime/status/html.ts";
import { renderJson } from "../../../runtime/status/json.ts";
import { renderList } from "../../../runtime/status/list.ts";
import { renderSummary } from "../../../runtime/status/summary.ts";
import { renderXml } from "../../../runtime/status/xml.ts";
import { reshardingReport, SINCE } from "./example-reports.ts";
import { reshardNotes } from "../../../runtime/status/reshard-lines.ts";

const RESHARD: ReshardView = {
  ...{ token: "t", by: "process 7 on db1", since: "2026-12-01T09:00:00.000Z", conf: "" },
  phase: "copying",
  hashing: builtinHashing({ hash: { kind: "builtin", name: "crc16" }, partitions: 3 }),
};

test("a resharding is a note: where the keys go, who does it, and how far it is", () => {
  expect(reshardNotes({})).toEqual([]);
  expect(reshardNotes({ reshard: null })).toEqual([]);
  const [note] = reshardNotes({ reshard: RESHARD });
  expect(note).toMatchObject({ code: "RESHARDING", severity: "NOTE", subject: "keys" });
  expect(note?.text).toMatch(
    /^are being moved to crc16 over 3 partitions, no hash tag .* by process 7 on db1 since .*: they are being copied$/,
  );
});

test("a switch that was undone says why", () => {
  const failed = "the master of partition 0 died";
  expect(reshardNotes({ reshard: { ...RESHARD, failed } })[0]?.text).toContain(failed);
  const { text } = reshardNotes({ reshard: { ...RESHARD, phase: "fenced" } })[0] ?? {};
  expect(text).toContain("being switched (fenced)");
});

test("every format shows how far it is: all partitions together, and each", () => {
  const report = reshardingReport();
  const text = "following, 62 % of 2000 keys, 70 bytes behind, longest hold 130 ms";
  const page = readFileSync(join(packageRoot(), "templates/status.html.hbs"), "utf8");
  expect(renderSummary(report, { color: false, width: 100 })).toContain(text);
  expect(renderHtml(report, page, SINCE)).toContain(text);
  for (const shown of [renderList(report), renderHtml(report, page, SINCE)]) {
    expect(shown).toContain("partition 1: 25 % of 1000 keys, 0 bytes behind");
  }
  const { reshard } = JSON.parse(renderJson(report)) as { reshard: object };
  expect(reshard).toMatchObject({
    phase: "copying",
    progress: { step: "following", longestHoldMs: 130, sources: [{ lagBytes: 70 }, { keys: 250 }] },
  });
  expect(renderXml(report)).toContain(
    '<source partition="0" keys="1000" keysTotal="1000" bytes="2048" lagBytes="70"/>',
  );
});

describe("what the tool reports", () => {
  const progress = { step: "copying", sources: [], longestHoldMs: null } as const;
  const alive = (more: object, state = "asked") =>
    ({
      id: "a",
      body: { kind: "reshard", step: "alive", token: "t", count: 1, ...more },
      ...{ state, message: "" },
    }) as Request;

  test("counts only for the resharding that the view shows, and while its tool runs", () => {
    const view = { reshard: RESHARD };
    expect(reshardProgressIn([alive({ progress })], view)).toEqual(progress);
    expect(reshardProgressIn([alive({ progress })], null)).toBeUndefined();
    expect(reshardProgressIn([alive({ progress })], {})).toBeUndefined();
    expect(reshardProgressIn([alive({ progress, token: "other" })], view)).toBeUndefined();
    expect(reshardProgressIn([alive({ progress }, "done")], view)).toBeUndefined();
    expect(reshardProgressIn([alive({})], view)).toBeUndefined();
  });

  test("is malformed unless it is bounded and whole", () => {
    const read = (more: object) => readEntry("request", "a", JSON.stringify(alive(more)));
    expect(typeof read({ progress })).toBe("object");
    expect(typeof read({})).toBe("object");
    const source = { partition: 0, keys: 1, keysTotal: 1, bytes: 1, lagBytes: 0 };
    const sources = Array.from({ length: SOURCES_MAX }, () => source);
    expect(typeof read({ progress: { ...progress, sources } })).toBe("object");
    const wrong = [
      { ...progress, sources: [...sources, source] },
      { ...progress, sources: [{ ...source, keys: "many" }] },
      { ...progress, step: "dancing" },
      "fast",
    ];
    for (const one of wrong) expect(typeof read({ progress: one })).toBe("string");
  });
});

test("the way back is a note of its own: how to go back", () => {
  const [note] = reshardNotes({ reshard: { ...RESHARD, phase: "keeping", isBack: true } });
  expect(note?.text).toMatch(/^can go back to crc16 over 3 partitions.* keeps the way back since /);
  expect(note?.remedy).toContain("twine-reshard --back");
});
