// reply-line.test.ts: replies leave in the order of their commands, whatever the order of their coming.
import fc from "fast-check";
import { expect, test } from "vitest";
import { ReplyLine } from "../../../runtime/engine/dispatch/reply-line.ts";

function flushed(line: ReplyLine): string {
  let text = "";
  line.flush((bytes) => {
    text += bytes.toString("latin1");
    return true;
  });
  return text;
}

function take(line: ReplyLine, tag: number, text: string): void {
  const bytes = Buffer.from(`..${text}..`, "latin1");
  line.take(tag, bytes, 2, 2 + text.length);
  // Whoever brings a reply uses its memory again.
  bytes.fill(0);
}

test("nothing leaves before the first reply, and then all that were waiting for it", () => {
  const line = new ReplyLine();
  const tags = [10, 20, 30].map((bytes) => line.expect(bytes));
  take(line, tags[1] ?? 0, "two");
  take(line, tags[2] ?? 0, "three");
  expect([line.owed, line.owedBytes, line.hasOutput, flushed(line)]).toEqual([3, 60, false, ""]);
  take(line, tags[0] ?? 0, "one,");
  expect([line.owed, line.owedBytes, flushed(line)]).toEqual([0, 0, "one,twothree"]);
});

test("any order of coming gives the order of the commands, with small and large replies, over many rounds", () => {
  const reply = fc.oneof(fc.constant(0), fc.nat(100), fc.nat(40_000));
  const round = fc.array(fc.record({ bytes: reply, place: fc.nat() }), { maxLength: 80 });
  fc.assert(
    fc.property(fc.array(round, { maxLength: 4 }), (rounds) => {
      const line = new ReplyLine();
      let expected = "";
      let given = "";
      let left: { tag: number; text: string; place: number }[] = [];
      for (const [number, replies] of rounds.entries()) {
        for (const [index, { bytes, place }] of replies.entries()) {
          const text = `${number}.${index};${"x".repeat(bytes)}`;
          expected += text;
          left.push({ tag: line.expect(1), text, place });
        }
        left.sort((a, b) => a.place - b.place);
        // Half of them wait for a later round.
        const half = Math.ceil(left.length / 2);
        for (const { tag, text } of left.slice(0, half)) take(line, tag, text);
        left = left.slice(half);
        given += flushed(line);
      }
      for (const { tag, text } of left) take(line, tag, text);
      expect(given + flushed(line)).toBe(expected);
      expect(line.owed).toBe(0);
    }),
    { numRuns: 200 },
  );
});

test("replies that are not wanted leave no bytes and hold nobody up, in whatever order they come", () => {
  const line = new ReplyLine();
  const bytes = Buffer.from("+OK\r\n");
  const out: string[] = [];
  const flush = (): void => {
    line.flush((piece) => {
      out.push(piece.toString());
      return true;
    });
  };
  line.setReplies("off", line.expect(0));
  line.take(0, bytes, 0, 0);
  const muted = Array.from({ length: 40 }, () => line.expect(10));
  const on = line.expect(0);
  line.setReplies("on", on);
  const last = line.expect(10);
  for (const tag of [last, on, ...muted.reverse()]) line.take(tag, bytes, 0, bytes.length);
  flush();
  expect([line.owed, out.join("")]).toEqual([0, "+OK\r\n+OK\r\n"]);
});
