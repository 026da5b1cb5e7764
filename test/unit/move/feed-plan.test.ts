// feed-plan.test.ts: what a change feed means for targets that divide its keys in another way. Keys are named after their
// target: a0 goes to target 0, b1 to target 1, x stays where it is.
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { planFeed, type FeedPlanOptions } from "../../../runtime/move/feed-plan.ts";
import { FeedReader } from "../../../runtime/replication/feed-reader.ts";
import { decodeReply } from "../../../runtime/resp/decode.ts";
import { encodeCommand } from "../../../runtime/resp/encode.ts";
import { parseCommandTable } from "../../../runtime/route/commands/command-table.ts";

const fixture = new URL("../../cases/command-7.0.15.resp.gz", import.meta.url);
const table = parseCommandTable(decodeReply(gunzipSync(readFileSync(fixture))));

function plan(commands: readonly string[], more: Partial<FeedPlanOptions> = {}) {
  const bytes = commands.map((command) => encodeCommand(command.split(" ")));
  const planned = planFeed(new FeedReader(0, 0).push(Buffer.concat(bytes)), {
    ...{ db: 0, table, copiedAt: new Map(), refused: [] },
    targetOf: (key) => {
      const last = Number(key.toString().slice(-1));
      return Number.isNaN(last) ? undefined : last;
    },
    ...more,
  });
  return {
    writes: planned.writes.map(({ target, args }) => `${target}: ${args.join(" ")}`),
    copies: planned.copies.map(String).sort(),
    forAll: planned.forAll.map((args) => args.join(" ")),
    restart: planned.restart,
  };
}
const NOTHING = { writes: [], copies: [], forAll: [], restart: undefined };

test("commands with keys of one target go there as they are, in their order", () => {
  const feed = [
    "SET a0 1",
    "incr b1",
    "RENAME a0 c0",
    "SINTERSTORE d1 e1 f1",
    "XGROUP CREATE s0 g 0",
  ];
  expect(plan(feed)).toEqual({
    ...NOTHING,
    writes: [
      ...["0: SET a0 1", "1: incr b1", "0: RENAME a0 c0", "1: SINTERSTORE d1 e1 f1"],
      "0: XGROUP CREATE s0 g 0",
    ],
  });
});

test("what is no data, of another database, or of keys that stay, is left out", () => {
  const feed = [
    "PING",
    "REPLCONF GETACK *",
    "MULTI",
    "SET x 1",
    "EXEC",
    "PUBLISH c0 m",
    "SELECT 5",
  ];
  expect(plan([...feed, "SET a0 1", "FLUSHDB", "SWAPDB 5 6"])).toEqual(NOTHING);
});

test("DEL, UNLINK and MSET are divided; of keys that stay nothing is sent", () => {
  expect(plan(["DEL a0 b1 x c0", "MSET a0 1 x 2 b1 3", "UNLINK a0"])).toEqual({
    ...NOTHING,
    writes: ["0: DEL a0", "1: DEL b1", "0: DEL c0", "0: MSET a0 1", "1: MSET b1 3", "0: UNLINK a0"],
  });
});

test("the keys of a command over several targets are copied, and all else that names them is left out", () => {
  expect(plan(["INCR a0", "RENAME a0 b1", "APPEND b1 z", "SET c1 1"])).toEqual({
    ...NOTHING,
    writes: ["1: SET c1 1"],
    copies: ["a0", "b1"],
  });
  expect(plan(["RENAME x b1"])).toEqual({ ...NOTHING, copies: ["b1"] });
});

test("a command that joins a copied key with others has those copied too, however many are in between", () => {
  const feed = ["SDIFFSTORE e0 d0 c0", "SUNIONSTORE c0 b0 a0", "SMOVE a0 z1 m", "SET y0 1"];
  expect(plan(feed)).toEqual({
    ...NOTHING,
    writes: ["0: SET y0 1"],
    copies: ["a0", "b0", "c0", "d0", "e0", "z1"],
  });
});

test("of a key that was copied before only what came behind its copy is sent", () => {
  const first = encodeCommand(["INCR", "a0"]).length;
  const copiedAt = new Map([["a0", first]]);
  expect(plan(["INCR a0", "INCR a0"], { copiedAt })).toEqual({
    ...NOTHING,
    writes: ["0: INCR a0"],
  });
  // Another key of the same command was not: both are copied anew.
  const far = new Map([["a0", 1e6]]);
  expect(plan(["RENAME a0 c0"], { copiedAt: far }).copies).toEqual(["a0", "c0"]);
  const both = new Map([...far, ["b1", 1e6] as const]);
  expect(plan(["RENAME a0 b1"], { copiedAt: both })).toEqual(NOTHING);
});

test("what a target refused is copied", () => {
  expect(plan(["INCR a0"], { refused: [Buffer.from("a0")] })).toEqual({
    ...NOTHING,
    copies: ["a0"],
  });
});

test("what SORT stored is copied: it may have read any key", () => {
  expect(plan(["SORT a0 BY w_* GET v_* STORE b0"]).copies).toEqual(["b0"]);
});

test("between two databases what is in the moved one now counts", () => {
  expect(plan(["MOVE a0 5", "COPY b1 c1 DB 5", "COPY d0 e0 DB 0"])).toEqual({
    ...NOTHING,
    writes: ["0: COPY d0 e0 DB 0"],
    copies: ["a0"],
  });
  expect(plan(["SELECT 5", "MOVE a0 0", "COPY b1 c1 DB 0"]).copies).toEqual(["a0", "c1"]);
});

test("function libraries go to every target", () => {
  expect(plan(["FUNCTION DELETE lib"]).forAll).toEqual(["FUNCTION DELETE lib"]);
});

test("what empties or swaps the database, a call, and what is not known begin everything anew", () => {
  for (const [command, why] of [
    ["FLUSHALL", "FLUSHALL"],
    ["FLUSHDB ASYNC", "FLUSHDB"],
    ["SWAPDB 0 1", "SWAPDB"],
    ["EVAL return 0", "a command whose keys are not known: EVAL"],
    ["MODULE.WRITE a0", "a command whose keys are not known: MODULE.WRITE"],
  ] as const) {
    expect(plan(["SET a0 1", command])).toEqual({ ...NOTHING, restart: why });
  }
});
