// shared-chunk.test.ts: a chunk may lie in memory whose owner fills it anew as soon as it was taken apart.
import { expect, test } from "vitest";
import { encodeCommand } from "../../../runtime/resp/encode.ts";
import { ReplyScanner } from "../../../runtime/resp/reply-scanner.ts";
import { RequestSplitter } from "../../../runtime/resp/request-splitter.ts";
import { seededRandom } from "../../support/seeded-random.ts";

test("a command's objects, and the half of the next command, outlive the chunk that they came in", () => {
  const splitter = new RequestSplitter();
  const next = encodeCommand(["GET", "later"]);
  const chunk = Buffer.concat([encodeCommand(["SET", "a", "1"]), next.subarray(0, 12)]);
  splitter.push(chunk);
  expect(splitter.advance()).toBe(true);
  const { raw, args } = splitter.request();
  expect(splitter.advance()).toBe(false);
  splitter.release();
  chunk.fill("#");
  expect(raw).toEqual(encodeCommand(["SET", "a", "1"]));
  expect(args.map(String)).toEqual(["SET", "a", "1"]);
  splitter.push(next.subarray(12));
  expect(splitter.next()?.args.map(String)).toEqual(["GET", "later"]);
});

test("replies cut anywhere come whole from memory with room before it, which is filled anew each time", () => {
  // Method: pieces of 1 to 40 bytes behind a room of 30, so that what is left over fits there or does not.
  const seeded = seededRandom(11);
  const memory = Buffer.alloc(30 + 40);
  const replies = Array.from({ length: 300 }, (_, index) =>
    seeded.below(3) === 0 ? `+${index}\r\n` : `*2\r\n$3\r\nabc\r\n:${index}\r\n`,
  );
  const stream = Buffer.from(replies.join(""));
  const scanner = new ReplyScanner();
  const seen: string[] = [];
  for (let at = 0; at < stream.length;) {
    const count = stream.copy(memory, 30, at, at + 1 + seeded.below(40));
    scanner.pushBehindRoom(memory, 30, count);
    at += count;
    while (scanner.advance()) {
      seen.push(scanner.source.toString("latin1", scanner.start, scanner.end));
    }
    scanner.release();
    memory.fill("#");
  }
  expect(seen).toEqual(replies);
});
