import { expect, test } from "vitest";
import { GatheredWrites } from "../../../runtime/ports/gathered-writes.ts";

const MIB = 1024 * 1024;

/** A file in memory. */
function memoryFile(failsAt = Infinity) {
  const writes: Buffer[] = [];
  const file = {
    writeFile: async (bytes: Buffer): Promise<void> => {
      if (writes.length === failsAt) throw new Error("no space");
      // Only later, as a disk does: what was gathered must not change meanwhile.
      await new Promise((resolve) => setImmediate(resolve));
      writes.push(Buffer.from(bytes));
    },
  };
  return { file, writes };
}

test("pieces of any size arrive whole, in order and in few writes", async () => {
  const { file, writes } = memoryFile();
  const gathered = new GatheredWrites(file);
  const pieces: Buffer[] = [];
  for (const size of [
    1,
    0,
    70_000,
    3 * MIB,
    16_384,
    MIB / 2,
    5,
    ...Array<number>(200).fill(9999),
  ]) {
    const piece = Buffer.alloc(size, pieces.length);
    pieces.push(piece);
    const given = Buffer.from(piece);
    await gathered.write(given);
    // It belongs to the caller again.
    given.fill(255);
  }
  await gathered.flush();
  await gathered.flush();
  const all = Buffer.concat(pieces);
  expect(Buffer.concat(writes).equals(all)).toBe(true);
  expect(writes.length).toBeLessThanOrEqual(Math.ceil(all.length / (MIB / 2)));
});

test("a write that fails is thrown by what comes next, by the flush at the latest", async () => {
  const early = new GatheredWrites(memoryFile(0).file);
  await expect(
    (async () => {
      for (let at = 0; at < 3; at++) await early.write(Buffer.alloc(MIB / 2));
    })(),
  ).rejects.toThrow("no space");
  const late = new GatheredWrites(memoryFile(0).file);
  await late.write(Buffer.alloc(10));
  await expect(late.flush()).rejects.toThrow("no space");
});
