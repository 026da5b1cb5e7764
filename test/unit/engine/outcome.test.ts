// outcome.test.ts: what becomes of requests whose connection broke.
import { expect, test } from "vitest";
import type { BufferedRequest } from "../../../runtime/engine/pipelines/in-flight.ts";
import { afterBreak } from "../../../runtime/engine/pipelines/outcome.ts";
import { encodeCommand } from "../../../runtime/resp/encode.ts";

function requestOf(command: string, more: Partial<BufferedRequest> = {}): BufferedRequest {
  const owner = { isGone: false };
  return {
    sink: { owner, isGone: false, take: () => undefined },
    ...{ tag: 0, command: encodeCommand(command.split(" ")), sinceMs: 0, order: 1 },
    ...{ isRead: command.startsWith("GET"), unknownAt: undefined },
    ...more,
  };
}

test("a read is sent to a second node, and not to a third", () => {
  const read = requestOf("GET a");
  expect(afterBreak([read], "n1", "reads")).toEqual({ again: [read], lost: [] });
  expect(read.unknownAt).toBe("n1");
  expect(afterBreak([read], "n2", "reads")).toEqual({ again: [], lost: [[read, false]] });
});

test("an idempotent write is repeated once, where it may be at all", () => {
  const write = requestOf("SET a 1");
  expect(afterBreak([write], "n1", "reads").again).toEqual([]);
  const other = requestOf("SET a 1");
  expect(afterBreak([other], "n1", "idempotent").again).toEqual([other]);
  expect(afterBreak([other], "n2", "idempotent").again).toEqual([]);
});

test("what a client asked that has left is nobody's any more", () => {
  const sink = { owner: { isGone: true }, isGone: true, take: () => undefined };
  const read = requestOf("GET a", { sink });
  expect(afterBreak([read], "n1", "reads")).toEqual({ again: [], lost: [] });
});
