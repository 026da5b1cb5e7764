import fc from "fast-check";
import { expect, test } from "vitest";
import { FeedReader } from "../../../runtime/replication/feed-reader.ts";
import { encodeCommand } from "../../../runtime/resp/encode.ts";

test("offsets, databases and boundaries are the same in chunks of any size", () => {
  const word = fc.constantFrom("SET", "multi", "EXEC", "DEL");
  const command = fc.oneof(
    fc.tuple(word, fc.string()).map((words): string[] => words),
    fc.nat(15).map((db) => ["SELECT", String(db)]),
  );
  fc.assert(
    fc.property(
      fc.array(command),
      fc.nat(1_000_000),
      fc.integer({ min: 1, max: 50 }),
      (commands, offset, size) => {
        const bytes = Buffer.concat(commands.map((words) => encodeCommand(words)));
        const whole = new FeedReader(offset, 2).push(bytes);
        const reader = new FeedReader(offset, 2);
        const parts = [];
        for (let at = 0; at < bytes.length; at += size) {
          parts.push(...reader.push(bytes.subarray(at, at + size)));
        }
        expect(parts).toEqual(whole);
        expect([reader.offset, reader.waitingBytes]).toEqual([offset + bytes.length, 0]);
        expect(whole.map(({ args }) => args.map(String))).toEqual(commands);
        let db = 2;
        let isOpen = false;
        for (const [index, words] of commands.entries()) {
          if (words[0] === "SELECT") db = Number(words[1]);
          if (words[0] === "multi") isOpen = true;
          if (words[0] === "EXEC") isOpen = false;
          expect(whole[index]).toMatchObject({ db, isBoundary: !isOpen });
        }
      },
    ),
  );
});

test("bytes that are no command are an error", () => {
  expect(() => new FeedReader(0).push(Buffer.from("*1\r\n+oops\r\n"))).toThrow(/Protocol error/);
});
