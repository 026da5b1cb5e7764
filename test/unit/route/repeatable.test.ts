// repeatable.test.ts: which writes may be sent again when nobody knows whether they were executed.
import { expect, test } from "vitest";
import { IDEMPOTENT, isIdempotent } from "../../../runtime/route/commands/repeatable.ts";

const words = (text: string): Buffer[] => text.split(" ").map((word) => Buffer.from(word));

for (const command of [
  "SET a 1",
  "set a nx",
  "SET a 1 EX 10",
  "SET a 1 KEEPTTL",
  "DEL a b",
  "SADD s a",
  "HSET h f v",
  "ZADD z CH 1 m",
  "EXPIREAT a 1893456000",
]) {
  test(`${command} twice is the same as once`, () => {
    expect(isIdempotent(words(command))).toBe(true);
  });
}

for (const command of [
  "SET a 1 NX",
  "SET a 1 EX 10 xx",
  "SET a 1 GET",
  "ZADD z INCR 1 m",
  "ZADD z GT 1 m",
  "EXPIREAT a 1893456000 NX",
  "EXPIRE a 10",
  "INCR a",
  "LPUSH l a",
  "SPOP s",
  "RENAME a b",
  "SUNIONSTORE d a b",
  "LSET l 0 a",
  "EVAL s 1 a",
  "XADD s * f v",
]) {
  test(`${command} is never repeated`, () => {
    expect(isIdempotent(words(command))).toBe(false);
  });
}

test("every command of the table says why", () => {
  for (const [name, { reason }] of IDEMPOTENT)
    expect([name, reason.length > 10]).toEqual([name, true]);
});
