import { expect, test } from "vitest";
import { feedAt } from "../../../runtime/backup/archive/feed-at.ts";

const [OLD, NEW, OTHER] = ["a".repeat(40), "b".repeat(40), "c".repeat(40)];

function info(more: Record<string, string> = {}): ReadonlyMap<string, string> {
  return new Map(
    Object.entries({
      ...{ role: "slave", master_link_status: "up", master_replid: NEW },
      ...{ master_replid2: OLD, second_repl_offset: "501", master_repl_offset: "900" },
      ...{ repl_backlog_active: "1", repl_backlog_first_byte_offset: "101" },
      ...more,
    }),
  );
}

test.each([
  [NEW, 700, { kind: "open", mark: { replicationId: NEW, offset: 700 }, isBranch: false }],
  [NEW, 900, { kind: "open", mark: { replicationId: NEW, offset: 900 }, isBranch: false }],
  // The replica that is asked is a little behind the one that was read.
  [NEW, 901, { kind: "wait" }],
  [NEW, 100, { kind: "open", mark: { replicationId: NEW, offset: 100 }, isBranch: false }],
  [NEW, 99, { kind: "gone" }],
  // After a failover: up to the offset before second_repl_offset both histories are one.
  [OLD, 400, { kind: "open", mark: { replicationId: OLD, offset: 400 }, isBranch: false }],
  [OLD, 500, { kind: "open", mark: { replicationId: OLD, offset: 500 }, isBranch: false }],
  [OLD, 501, { kind: "open", mark: { replicationId: OLD, offset: 500 }, isBranch: true }],
  [OLD, 99, { kind: "gone" }],
  [OTHER, 500, { kind: "gone" }],
] as const)("who has %s up to %d: %o", (replicationId, offset, expected) => {
  expect(feedAt({ replicationId, offset }, info())).toMatchObject(expected);
});

test("a lost branch that begins before the backlog is a gap", () => {
  const late = info({ repl_backlog_first_byte_offset: "600" });
  expect(feedAt({ replicationId: OLD, offset: 700 }, late).kind).toBe("gone");
});

test("from now on begins at the node's own offset", () => {
  const mark = { replicationId: NEW, offset: 900 };
  expect(feedAt(undefined, info())).toEqual({ kind: "open", mark, isBranch: false });
});

test.each([
  [{ master_link_status: "down" }],
  [{ repl_backlog_active: "0" }],
  [{ master_replid: "" }],
  [{ role: "master", min_slaves_good_slaves: "1" }],
])("%o is waited for, and never sent a PSYNC", (more) => {
  expect(feedAt({ replicationId: NEW, offset: 700 }, info(more)).kind).toBe("wait");
  expect(feedAt(undefined, info(more)).kind).toBe("wait");
});
