import { expect, test } from "vitest";
import { builtinHashing } from "../../../runtime/core/hashing.ts";
import type { ReshardView } from "../../../runtime/core/view.ts";
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
