// held-expiry.test.ts: which commands of an append only file get their time of expiry only at the end.
import { expect, test } from "vitest";
import { HeldExpiry } from "../../../runtime/replication/aof/held-expiry.ts";

const bytes = (text: string): Buffer[] => text.split(" ").map((word) => Buffer.from(word));
const held = (expiry: HeldExpiry, text: string): string => expiry.hold(bytes(text)).join(" ");
const released = (expiry: HeldExpiry): string[] =>
  [...expiry.releases()].map((args) => args[3]?.toString() ?? "");

test("absolute times are moved by one span, in whatever command they stand", () => {
  const expiry = new HeldExpiry();
  expect(held(expiry, "PEXPIREAT a 5 GT")).toBe("PEXPIREAT a 100000000000005 GT");
  expect(held(expiry, "expireat b 5")).toBe("expireat b 100000000005");
  expect(held(expiry, "SET c PXAT pxat 7")).toBe("SET c PXAT pxat 100000000000007");
  expect(held(expiry, "SET d v NX EXAT 7")).toBe("SET d v NX EXAT 100000000007");
  expect(held(expiry, "GETEX e PXAT 7")).toBe("GETEX e PXAT 100000000000007");
  expect(held(expiry, "RESTORE f 7 x REPLACE ABSTTL")).toBe(
    "RESTORE f 100000000000007 x REPLACE ABSTTL",
  );
  expect(released(expiry)).toEqual(["a", "b", "c", "d", "e", "f"]);
});

test("relative times, and commands without one, are sent as they are", () => {
  const expiry = new HeldExpiry();
  for (const text of [
    "SET a 1",
    "SET a 1 EX 5",
    "SET a PXAT",
    "PEXPIRE a 5",
    "RESTORE a 5 x",
    "RESTORE a 0 x ABSTTL",
    "PEXPIREAT a soon",
    "GETEX a PERSIST",
    "DEL a",
  ]) {
    expect(held(expiry, text)).toBe(text);
  }
  expect(released(expiry)).toEqual([]);
});

test("a moved time is found under the name that its key has in the end", () => {
  const expiry = new HeldExpiry();
  held(expiry, "PEXPIREAT a 5");
  held(expiry, "RENAME a b");
  held(expiry, "COPY b c");
  held(expiry, "RENAME x y");
  expect(released(expiry)).toEqual(["a", "b", "c"]);
});

test("a key's bytes come back as they were", () => {
  const expiry = new HeldExpiry();
  const key = Buffer.from([0xff, 0x00, 0xc3, 0xa9]);
  expiry.hold([Buffer.from("PEXPIREAT"), key, Buffer.from("5")]);
  expect([...expiry.releases()][0]?.[3]).toEqual(key);
});
