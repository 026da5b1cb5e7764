// aof.test.ts: reading append only files: commands and their bytes, the end of an RDB, manifests.
import { describe, expect, test } from "vitest";
import { AofCommands } from "../../../runtime/replication/aof/aof-commands.ts";
import { parseManifest } from "../../../runtime/replication/aof/aof-files.ts";
import { RdbEnd } from "../../../runtime/replication/rdb-end.ts";
import { encodeCommand } from "../../../runtime/resp/encode.ts";

const command = (text: string): Buffer => encodeCommand(text.split(" "));
const shown = (commands: AofCommands): string[] => {
  const units: string[] = [];
  for (let unit = commands.next(); unit !== undefined; unit = commands.next()) {
    units.push(unit.commands.map((args) => args.join(" ")).join("; "));
  }
  return units;
};

describe("commands of an append only file", () => {
  const parts = ["SELECT 0", "SET a 1", "MULTI", "SET b 2", "INCR b", "EXEC", "DEL a"].map(command);
  parts.splice(1, 0, Buffer.from("#TS:1700000000\r\n"));
  const file = Buffer.concat(parts);
  const all = ["SELECT 0", "SET a 1", "SET b 2; INCR b", "DEL a"];

  test("come whole and in their order, however the bytes are cut", () => {
    for (const size of [1, 2, 3, 7, 50, file.length]) {
      const commands = new AofCommands("f", 0);
      const units: string[] = [];
      for (let at = 0; at < file.length; at += size) {
        commands.push(file.subarray(at, at + size));
        units.push(...shown(commands));
      }
      expect(units).toEqual(all);
      expect(commands.wholeEnd).toBe(file.length);
    }
  });

  test("cut anywhere, the whole part ends behind the last whole command or transaction", () => {
    const ends: number[] = [];
    for (let size = 0; size <= file.length; size++) {
      const commands = new AofCommands("f", 100);
      commands.push(file.subarray(0, size));
      shown(commands);
      ends.push(commands.wholeEnd - 100);
    }
    const offsets = parts.map((_, index) => Buffer.concat(parts.slice(0, index + 1)).length);
    const [select, remark, set, , , , exec, del] = offsets;
    expect([...new Set(ends)]).toEqual([0, select, remark, set, exec, del]);
  });

  test("what is none says at which byte", () => {
    const broken = (bytes: string): string => {
      const commands = new AofCommands("f", 10);
      commands.push(Buffer.from(bytes));
      try {
        shown(commands);
        return "nothing";
      } catch (error) {
        return error instanceof Error ? (error.message.split("\n")[0] ?? "") : "";
      }
    };
    expect(broken("hello\r\n")).toBe("f, byte 10: no command begins here");
    expect(broken("*1\r\n$1\r\nab\r\n")).toBe("f, byte 19: an argument is longer than it says");
    expect(broken("*x\r\n")).toBe("f, byte 10: no length stands here");
    expect(broken("*1\r\n+OK\r\n")).toBe("f, byte 14: no argument begins here");
    expect(broken("*0\r\n")).toBe("f, byte 10: a command without a name");
    const twice = command("MULTI").toString().repeat(2);
    expect(broken(twice)).toBe("f, byte 25: a transaction inside a transaction");
  });
});

/** Where the RDB is found to end when its file comes in chunks of `size` bytes. */
function endFound(file: Buffer, size: number): number | undefined {
  const end = new RdbEnd();
  for (let at = 0; at < file.length; at += size) {
    const byte = end.push(file.subarray(at, at + size));
    if (byte !== undefined) return byte;
  }
  return undefined;
}

test("an RDB ends where its checksum fits, however the bytes are cut", () => {
  // The check value of this CRC-64 is in Redis's own src/crc64.c.
  const checked = Buffer.from("123456789");
  const body = Buffer.concat([checked, Buffer.from([0xff])]);
  const sum = Buffer.alloc(8);
  sum.writeBigUInt64LE(crc64(body));
  expect(crc64(checked)).toBe(0xe9c6d914c4b8d9can);
  const file = Buffer.concat([body, sum, Buffer.from("*1\r\n$4\r\nPING\r\n")]);
  for (const size of [1, 3, 8, 9, 100]) {
    expect(endFound(file, size)).toBe(body.length + 8);
  }
  const exact = new RdbEnd();
  exact.push(file.subarray(0, body.length + 7));
  expect(exact.finish()).toBeUndefined();
  exact.push(file.subarray(body.length + 7, body.length + 8));
  expect(exact.finish()).toBe(body.length + 8);
});

test("an RDB whose last value ends in FF ends behind its checksum, also when a byte less would fit", () => {
  // Method: search for values whose CRC-64 begins with FF, about one in 256: the byte less fits just there.
  let tried = 0;
  for (let value = 0; tried < 5; value++) {
    const data = Buffer.from([value & 0xff, value >> 8, 0xff]);
    if ((crc64(data) & 0xffn) !== 0xffn) continue;
    tried++;
    const body = Buffer.concat([data, Buffer.from([0xff])]);
    const sum = Buffer.alloc(8);
    sum.writeBigUInt64LE(crc64(body));
    const file = Buffer.concat([body, sum, Buffer.from("*1\r\n")]);
    for (const size of [1, 5, 12, 100]) {
      expect(endFound(file, size)).toBe(body.length + 8);
    }
    const alone = new RdbEnd();
    alone.push(file.subarray(0, body.length + 8));
    expect(alone.finish()).toBe(body.length + 8);
  }
});

/** Bit by bit, as the definition says. */
function crc64(bytes: Buffer): bigint {
  let crc = 0n;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) {
      crc = (crc & 1n) === 1n ? (crc >> 1n) ^ 0x95ac9329ac4bc9b5n : crc >> 1n;
    }
  }
  return crc;
}

test("a manifest names the base and the increments in their order, and leaves history out", () => {
  const text = [
    "file a.aof.2.incr.aof seq 2 type i",
    'file "a b.1.base.rdb" seq 1 type b',
    "file a.aof.0.incr.aof seq 0 type h",
    "file a.aof.1.incr.aof seq 1 type i",
    "",
  ].join("\n");
  expect(parseManifest(text, "m")).toEqual([
    "a b.1.base.rdb",
    "a.aof.1.incr.aof",
    "a.aof.2.incr.aof",
  ]);
  expect(() => parseManifest("file ../x seq 1 type b\n", "m")).toThrow(/m:1:1: no line/);
  expect(() => parseManifest("nonsense\n", "m")).toThrow(/m:1:1: no line/);
});
