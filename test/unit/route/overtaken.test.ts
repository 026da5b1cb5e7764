// overtaken.test.ts: which reads of a broken run would show what the same client asked for later.
import { expect, test } from "vitest";
import { overtakenReads, plainKeys } from "../../../runtime/route/replies/overtaken.ts";

interface Line {
  readonly client: object;
  readonly isRead: boolean;
  readonly args: readonly Buffer[];
}

const clients: Readonly<Record<string, object>> = { A: {}, B: {} };

/** "A? GET f" is a read of client A, "A! SET f 1" a write. */
function overtakenOf(...lines: readonly string[]): string[] {
  const run = lines.map((line): Line => {
    const [who = "", ...args] = line.split(" ");
    const client = clients[who[0] ?? ""] ?? {};
    return { client, isRead: who[1] === "?", args: args.map((arg) => Buffer.from(arg)) };
  });
  const found = overtakenReads(
    run,
    ({ client }) => client,
    ({ args }) => plainKeys(args),
  );
  return lines.filter((_, index) => found.has(run[index] as Line));
}

test("a read is overtaken by a later write of its client, and by no earlier one", () => {
  expect(overtakenOf("A! SET f 1", "A? GET f", "A! SET f 2", "A? STRLEN f")).toEqual(["A? GET f"]);
});

test("another client's write overtakes nothing: no order with it was promised", () => {
  expect(overtakenOf("A? GET f", "B! SET f 2", "B? GET f")).toEqual([]);
});

test("a write of another key overtakes nothing, one of any of a read's keys does", () => {
  expect(overtakenOf("A? GET f", "A! SET g 2")).toEqual([]);
  expect(overtakenOf("A? MGET e f", "A! DEL g f")).toEqual(["A? MGET e f"]);
  expect(overtakenOf("A? MGET v f", "A! MSET g v h f")).toEqual([]);
  expect(overtakenOf("A? mget v h", "A! mset g v h f")).toEqual(["A? mget v h"]);
});

test("where keys are not told by the name, any write and any read may meet", () => {
  expect(overtakenOf("A? GET f", "A! EVAL script 0")).toEqual(["A? GET f"]);
  expect(overtakenOf("A? GET f", "A! FLUSHDB", "A! SET g 1")).toEqual(["A? GET f"]);
  expect(overtakenOf("A? DBSIZE", "A! SET f 1")).toEqual(["A? DBSIZE"]);
  expect(overtakenOf("A? COMMAND GETKEYS GET f", "A! EVAL script 0")).toEqual([]);
});
