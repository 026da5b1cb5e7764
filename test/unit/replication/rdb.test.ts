import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Crc64 } from "../../../runtime/replication/rdb/crc64.ts";
import { unpackLzf } from "../../../runtime/replication/rdb/lzf.ts";
import { RdbScanner, type RdbPiece } from "../../../runtime/replication/rdb/rdb-scanner.ts";
import { splitRdbs } from "../../../runtime/replication/rdb/rdb-splitter.ts";
import type { RdbMagic } from "../../../runtime/replication/rdb/rdb-types.ts";
import { lengthOf, RdbWriter } from "../../../runtime/replication/rdb/rdb-writer.ts";

const text = (value: string): Buffer =>
  Buffer.concat([lengthOf(Buffer.byteLength(value)), Buffer.from(value)]);
const string = (key: string, value: string): Buffer =>
  Buffer.concat([Buffer.from([0]), text(key), text(value)]);

function rdb(items: readonly Buffer[], magic: RdbMagic = "REDIS", version = 12): Buffer {
  const writer = new RdbWriter({ magic, version });
  writer.select(0);
  for (const item of items) writer.add(item);
  return writer.end();
}

function scan(bytes: Buffer, size = bytes.length): RdbPiece[] {
  const scanner = new RdbScanner();
  const pieces: RdbPiece[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    pieces.push(...scanner.push(bytes.subarray(at, at + size)));
  }
  scanner.finish();
  return pieces;
}

const keysOf = (pieces: readonly RdbPiece[]): string[] =>
  pieces.flatMap((piece) => (piece.kind === "entry" ? [piece.key.toString()] : []));

test("CRC-64 is the one of Redis, whatever the parts and wherever they lie in memory", () => {
  const bytes = Buffer.from("123456789");
  const crc = new Crc64();
  crc.update(bytes);
  // redis/src/crc64.c, the test at its end.
  expect(crc.digest().readBigUInt64LE()).toBe(0xe9c6d914c4b8d9can);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), fc.nat(8), (data, cut, shift) => {
      const whole = new Crc64();
      whole.update(data);
      const moved = Buffer.concat([Buffer.alloc(shift), data]).subarray(shift);
      const parts = new Crc64();
      parts.update(moved.subarray(0, cut));
      parts.update(moved.subarray(cut));
      expect(parts.digest()).toEqual(whole.digest());
    }),
  );
});

test("LZF of garbage is refused or ends; it writes no byte beyond the length", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(300), (packed, length) => {
      const out = unpackLzf(packed, length);
      expect(out === undefined || out.length === length).toBe(true);
    }),
  );
});

describe("what no test server writes", () => {
  // A module's value: its id, then typed pieces, each behind its mark, then the end's mark.
  const moduleData = [
    [2, 7],
    [1, 9],
    [3, 1, 2, 3, 4],
    [4, 1, 2, 3, 4, 5, 6, 7, 8],
  ].map((list) => Buffer.from(list));
  const moduleEnd = [Buffer.from([5]), text("a string of the module"), Buffer.from([0])];
  const id = Buffer.from([0x81, 1, 2, 3, 4, 5, 6, 7, 8]);
  const items = [
    Buffer.concat([Buffer.from([7]), text("module"), id, ...moduleData, ...moduleEnd]),
    Buffer.concat([Buffer.from([247]), id, Buffer.from([2, 1]), ...moduleEnd]),
    Buffer.from([244, 3, 2, 1]),
    Buffer.concat([Buffer.from([243]), text("job"), Buffer.from([2, 1, 2, 3, 4])]),
    Buffer.concat([
      ...[Buffer.from([3]), text("old zset"), Buffer.from([2]), text("a"), Buffer.from([255])],
      ...[text("b"), text("1.5")],
    ]),
  ];
  const bytes = rdb([...items, string("last", "value")]);

  test.each([1, 2, 7, 1000])("is stepped over in chunks of %i", (size) => {
    const pieces = scan(bytes, size);
    expect(keysOf(pieces)).toEqual(["module", "old zset", "last"]);
    expect(Buffer.concat(pieces.map((piece) => piece.bytes))).toEqual(bytes);
  });

  test("is left out of a split where it is true of the source alone", async () => {
    const parts: Buffer[] = [];
    const outputs = [{ write: (part: Buffer) => Promise.resolve(void parts.push(part)) }];
    const source = { name: "it", chunks: () => chunksOf(bytes) };
    const format = { magic: "REDIS", version: 12 } as const;
    await splitRdbs([source], { format, outputs, partitionOf: () => 0 });
    const kept = scan(Buffer.concat(parts));
    expect(keysOf(kept)).toEqual(["module", "old zset", "last"]);
    const opcodes = kept.flatMap((piece) => (piece.kind === "other" ? [piece.opcode] : []));
    expect(opcodes).toEqual([254, 247]);
  });
});

async function* chunksOf(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 50)
    yield await Promise.resolve(bytes.subarray(at, at + 50));
}

test("keys that don't belong into their source are left out, values of many chunks with them, and reported", async () => {
  const bytes = [
    rdb([string("a1", "x".repeat(500)), string("b1", "y".repeat(500)), string("a2", "z")]),
    rdb([string("b1", "true value"), string("a1", "w".repeat(500))]),
  ];
  const parts: Buffer[][] = [[], []];
  const outputs = parts.map((list) => ({
    write: (part: Buffer) => Promise.resolve(void list.push(part)),
  }));
  const sources = bytes.map((data, index) => ({
    name: `partition ${index}`,
    chunks: () => chunksOf(data),
    // Promises here and there, as an executable gives them.
    owns: (key: Buffer) => Promise.resolve(key.toString().startsWith(index === 0 ? "a" : "b")),
  }));
  const report = await splitRdbs(sources, {
    format: { magic: "REDIS", version: 10 },
    outputs,
    partitionOf: (key) => (key.toString().endsWith("1") ? 1 : Promise.resolve(0)),
  });
  expect(report.keys).toEqual([1, 2]);
  expect(report.misplaced).toEqual([
    { source: "partition 0", keys: 1, examples: [Buffer.from("b1")] },
    { source: "partition 1", keys: 1, examples: [Buffer.from("a1")] },
  ]);
  expect(parts.map((list) => keysOf(scan(Buffer.concat(list))))).toEqual([["a2"], ["a1", "b1"]]);
  expect(Buffer.concat(parts[1] ?? []).includes("true value")).toBe(true);
});

test("expiries are shifted, and written where there was one only", async () => {
  const expiring = Buffer.alloc(9, 252);
  expiring.writeBigInt64LE(1000n, 1);
  const seconds = Buffer.alloc(5, 253);
  seconds.writeInt32LE(5, 1);
  const items = [
    Buffer.concat([expiring, string("ms", "v")]),
    Buffer.concat([seconds, string("s", "v")]),
  ];
  const bytes = rdb([...items, string("stays", "v")]);
  const parts: Buffer[] = [];
  const outputs = [{ write: (part: Buffer) => Promise.resolve(void parts.push(part)) }];
  const report = await splitRdbs([{ name: "it", chunks: () => chunksOf(bytes) }], {
    format: { magic: "REDIS", version: 10 },
    outputs,
    partitionOf: () => 0,
    shiftExpiryMs: 500,
  });
  expect(report.keysWithExpiry).toEqual([2]);
  const entries = scan(Buffer.concat(parts)).flatMap((piece) =>
    piece.kind === "entry" ? [piece.expireAtMs] : [],
  );
  expect(entries).toEqual([1500, 5500, undefined]);
});

test.each([
  ["nothing", Buffer.alloc(0), "not-rdb"],
  ["text", Buffer.from("hello, world"), "not-rdb"],
  ["the start of its magic", Buffer.from("REDI"), "truncated"],
  ["a newer version", Buffer.from("REDIS0099......"), "version"],
  ["a type of nobody", rdb([Buffer.from([60, 1, 97, 1, 98])]), "type"],
  ["a module of before the release", rdb([Buffer.from([6, 1, 97, 1, 98])]), "type"],
  ["a string longer than any", rdb([Buffer.from([0, 0x81, 1, 0, 0, 0, 0, 0, 0, 0, 0])]), "broken"],
  ["a length that is none", rdb([Buffer.from([0, 0x85, 1])]), "broken"],
  ["no end", rdb([string("a", "b")]).subarray(0, -9), "truncated"],
])("%s is an error with its kind", (_what, bytes, kind) => {
  let caught: unknown;
  try {
    scan(bytes, 3);
  } catch (error) {
    caught = error;
  }
  expect(caught).toMatchObject({ name: "RdbError", kind });
});

test("eight zero bytes in the place of the checksum are taken, and shown", () => {
  const bytes = rdb([string("a", "b")]);
  bytes.fill(0, bytes.length - 8);
  expect(scan(bytes).at(-1)).toMatchObject({ kind: "end", hasChecksum: false });
});

test("a long key in small chunks is put together once, not anew with every chunk", () => {
  // Method: with a quadratic way 20 MB in pieces of 1 KB copy 200 GB; the test would not end.
  const bytes = rdb([string("k".repeat(20_000_000), "v")]);
  expect(keysOf(scan(bytes, 1000))[0]).toHaveLength(20_000_000);
});

test("memory is that of a chunk, not of a value", () => {
  const scanner = new RdbScanner();
  scanner.push(Buffer.from("REDIS0010"));
  scanner.push(
    Buffer.concat([Buffer.from([0]), text("k"), Buffer.from([0x81, 0, 0, 0, 1, 0, 0, 0, 0])]),
  );
  const chunk = Buffer.alloc(1 << 20);
  for (let round = 0; round < 100; round++) {
    const [piece, ...others] = scanner.push(chunk);
    expect(piece?.bytes.buffer).toBe(chunk.buffer);
    expect(others).toEqual([]);
  }
  expect(scanner.position).toBeGreaterThan(100 << 20);
});
