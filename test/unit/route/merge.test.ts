// merge.test.ts: one command cut for several partitions, and their replies made one.
import { expect, test } from "vitest";
import { gatherReplies } from "../../../runtime/route/replies/gather.ts";
import { mergeInfo } from "../../../runtime/route/replies/info.ts";
import {
  mergeReplies,
  splitCommand,
  type SplitShape,
} from "../../../runtime/route/replies/split.ts";
import {
  cursorAfter,
  isOfOtherLayout,
  layoutTagOf,
  parseCursor,
  parseKeyCursor,
  printCursor,
  printKeyCursor,
} from "../../../runtime/route/replies/scan-cursor.ts";

const words = (text: string): Buffer[] => text.split(" ").map((word) => Buffer.from(word));
const replies = (...texts: string[]): Buffer[] => texts.map((text) => Buffer.from(text));
const MGET: SplitShape = { name: "mget", merge: "mget", keyStep: 1, isRead: true };
const MSET: SplitShape = { name: "mset", merge: "mset", keyStep: 2, isRead: false };
const DEL: SplitShape = { name: "del", merge: "sum", keyStep: 1, isRead: false };
const context = { name: "FLUSHDB", random: 0, dbs: [0, 3] };

test("MGET gives its values in the order of its keys, and a partition's error at each of its keys", () => {
  const args = words("MGET a b c");
  const parts = splitCommand(args, MGET, [1, 0, 1]);
  expect(parts.map(({ partition, command }) => [partition, command.toString()])).toEqual([
    [1, "*3\r\n$4\r\nMGET\r\n$1\r\na\r\n$1\r\nc\r\n"],
    [0, "*2\r\n$4\r\nMGET\r\n$1\r\nb\r\n"],
  ]);
  const merged = mergeReplies(args, MGET, parts, replies("*2\r\n$1\r\nA\r\n$-1\r\n", "-OOPS\r\n"));
  expect(merged.toString()).toBe("*3\r\n$1\r\nA\r\n-OOPS\r\n$-1\r\n");
  const failed = mergeReplies(args, MGET, parts, replies("-OOPS\r\n", "-OOPS\r\n"));
  expect(failed.toString()).toBe("-OOPS\r\n");
});

test("an MSET done in part says which keys were not written, and why", () => {
  const args = words("MSET a 1 b 2 c 3");
  const parts = splitCommand(args, MSET, [1, 0, 1]);
  expect(mergeReplies(args, MSET, parts, replies("+OK\r\n", "+OK\r\n")).toString()).toBe("+OK\r\n");
  const error = "-TWINEDOWN partition 1 has no master\r\n";
  expect(mergeReplies(args, MSET, parts, replies(error, "+OK\r\n")).toString()).toBe(
    "-PARTIAL MSET was done for 1 of 3 keys, not for partition 1 with 'a' 'c': " +
      "TWINEDOWN partition 1 has no master\r\n",
  );
  expect(mergeReplies(args, MSET, parts, replies(error, error)).toString()).toBe(error);
});

test("PARTIAL tells what was done, what was perhaps done and what was not", () => {
  const args = words("MSET a 1 b 2 c 3 d 4");
  const parts = splitCommand(args, MSET, [0, 1, 2, 3]);
  const [few, lost, down] = ["-UNDERREPLICATED few\r\n", "-UNCERTAIN lost\r\n", "-OOM full\r\n"];
  const merged = mergeReplies(args, MSET, parts, replies(few, "+OK\r\n", lost, down));
  expect(merged.toString()).toBe(
    "-PARTIAL MSET was done for 2 of 4 keys, not for partition 3 with 'd': OOM full; " +
      "perhaps done for partition 2 with 'c': UNCERTAIN lost; " +
      "done but held by too few replicas for partition 0 with 'a': UNDERREPLICATED few\r\n",
  );
  const flushed = gatherReplies("same", replies(few, "+OK\r\n", lost, down), context);
  expect(flushed.toString()).toBe(
    "-PARTIAL FLUSHDB was done in 2 of 4 partitions, not in 3: OOM full; " +
      "perhaps done in 2: UNCERTAIN lost; " +
      "done but held by too few replicas in 0: UNDERREPLICATED few\r\n",
  );
});

test("an error stands alone only for parts that all fared like it", () => {
  const args = words("MSET a 1 b 2");
  const parts = splitCommand(args, MSET, [0, 1]);
  const [lost, down] = ["-UNCERTAIN lost\r\n", "-TWINEDOWN down\r\n"];
  expect(mergeReplies(args, MSET, parts, replies(lost, lost)).toString()).toBe(lost);
  expect(mergeReplies(args, MSET, parts, replies(down, lost)).toString()).toBe(
    "-PARTIAL MSET was done for 0 of 2 keys, not for partition 0 with 'a': TWINEDOWN down; " +
      "perhaps done for partition 1 with 'b': UNCERTAIN lost\r\n",
  );
  expect(gatherReplies("same", replies(down, lost), context).toString()).toMatch(
    /^-PARTIAL FLUSHDB was done in 0 of 2 partitions, not in 0: TWINEDOWN down; perhaps done in 1: /,
  );
});

test("DEL adds up what each partition removed", () => {
  const args = words("DEL a b");
  const parts = splitCommand(args, DEL, [0, 1]);
  expect(mergeReplies(args, DEL, parts, replies(":1\r\n", ":1\r\n")).toString()).toBe(":2\r\n");
});

test("a count that leaves a partition out is an error, not a smaller count", () => {
  expect(gatherReplies("sum", replies(":2\r\n", ":3\r\n"), context).toString()).toBe(":5\r\n");
  const error = "-TWINEDOWN x\r\n";
  expect(gatherReplies("sum", replies(":2\r\n", error), context).toString()).toBe(error);
});

test("a flush that reached only some partitions says which it did not", () => {
  const merged = gatherReplies("same", replies("+OK\r\n", "-TWINEDOWN x\r\n"), context);
  expect(merged.toString()).toBe(
    "-PARTIAL FLUSHDB was done in 1 of 2 partitions, not in 1: TWINEDOWN x\r\n",
  );
});

test("RANDOMKEY prefers partitions by their number of keys and passes over empty ones", () => {
  const keys = replies("$1\r\na\r\n", "$-1\r\n", "$1\r\nc\r\n");
  const sizes = replies(":1\r\n", ":0\r\n", ":9\r\n");
  const at = (random: number): string =>
    gatherReplies("randomkey", keys, { ...context, random }, sizes).toString();
  expect(at(0)).toBe("$1\r\na\r\n");
  expect(at(0.2)).toBe("$1\r\nc\r\n");
  expect(at(0.999)).toBe("$1\r\nc\r\n");
});

test("INFO adds what counts, and shows every partition's database as 0", () => {
  const first =
    "# Clients\r\nconnected_clients:2\r\n# Keyspace\r\ndb0:keys=3,expires=1,avg_ttl=10\r\n";
  const second =
    "# Clients\r\nconnected_clients:3\r\n# Keyspace\r\ndb3:keys=4,expires=3,avg_ttl=50\r\n";
  expect(mergeInfo([first, second], [0, 3])).toBe(
    "# Clients\r\nconnected_clients:5\r\n\r\n# Keyspace\r\ndb0:keys=7,expires=4,avg_ttl=40\r\n",
  );
});

test("a SCAN cursor carries partition, master and the node's own cursor", () => {
  const position = { partition: 1, tag: 4711, nodeCursor: "123456789" };
  expect(parseCursor(printCursor(position, 3), 3)).toEqual(position);
  expect(parseCursor("0", 3)).toEqual({ partition: 0, tag: 0, nodeCursor: "0" });
  expect(parseCursor("nonsense", 3)).toBeUndefined();
  expect(parseCursor("18446744073709551616", 3)).toBeUndefined();
});

test("SCAN goes on with the next partition and ends after the last", () => {
  const next = cursorAfter({ partition: 0, tag: 9, nodeCursor: "0" }, 2);
  expect(parseCursor(next, 2)).toMatchObject({ partition: 1, nodeCursor: "0" });
  expect(cursorAfter({ partition: 1, tag: 9, nodeCursor: "0" }, 2)).toBe("0");
});

test("a key's cursor carries master and node's cursor, whatever its partition is", () => {
  const position = { partition: 2, tag: 4711, nodeCursor: "96" };
  expect(parseKeyCursor(printKeyCursor(position))).toEqual({ ...position, partition: 0 });
  expect(printKeyCursor({ ...position, nodeCursor: "0" })).toBe("0");
  expect(parseKeyCursor("nonsense")).toBeUndefined();
});

test("after a resharding, a cursor from before begins anew, and one from after goes on", () => {
  expect(layoutTagOf(undefined)).toBe(0);
  const layout = layoutTagOf({ at: "2026-12-01T10:00:00.000Z" });
  const old = [
    cursorAfter({ partition: 0, tag: 9, nodeCursor: "0" }, 2),
    cursorAfter({ partition: 1, tag: 9, nodeCursor: "77" }, 2),
  ];
  for (const cursor of old) {
    const position = parseCursor(cursor, 3);
    if (position === undefined) throw new Error("no cursor");
    expect(isOfOtherLayout(position, layout, 5)).toBe(true);
    expect(isOfOtherLayout(position, 0, 5)).toBe(false);
  }
  const begin = cursorAfter({ partition: 0, tag: 5, nodeCursor: "0" }, 3, layout);
  const further = cursorAfter({ partition: 1, tag: 5, nodeCursor: "77" }, 3, layout);
  for (const cursor of ["0", begin, further]) {
    const position = parseCursor(cursor, 3);
    if (position === undefined) throw new Error("no cursor");
    expect(isOfOtherLayout(position, layout, 5)).toBe(false);
  }
});
