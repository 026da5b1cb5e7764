// shared-chunk.test.ts: a chunk's memory may be its owner's again as soon as it was split.
import { expect, test } from "vitest";
import { encodeCommand } from "../../../runtime/resp/encode.ts";
import { RequestSplitter } from "../../../runtime/resp/request-splitter.ts";

test("a command's objects, and the half of the next command, outlive the chunk that they came in", () => {
  const splitter = new RequestSplitter();
  const next = encodeCommand(["GET", "later"]);
  const chunk = Buffer.concat([encodeCommand(["SET", "a", "1"]), next.subarray(0, 12)]);
  splitter.push(chunk);
  expect(splitter.advance()).toBe(true);
  const { raw, args } = splitter.request();
  expect(splitter.advance()).toBe(false);
  splitter.letGo();
  chunk.fill("#");
  expect(raw).toEqual(encodeCommand(["SET", "a", "1"]));
  expect(args.map(String)).toEqual(["SET", "a", "1"]);
  splitter.push(next.subarray(12));
  expect(splitter.next()?.args.map(String)).toEqual(["GET", "later"]);
});
