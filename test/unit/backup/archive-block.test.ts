import { expect, test } from "vitest";
import {
  BlockError,
  printBlock,
  readBlocks,
  type Block,
} from "../../../runtime/backup/archive/archive-block.ts";

const cut = {
  at: "2026-12-01T03:15:00.000Z",
  pausedMs: 3,
  marks: [{ master: "a1", replicationId: "f".repeat(40), offset: 12 }],
};
const ONE = printBlock({ block: 1, atMs: 1000, from: [3], to: [8] }, [Buffer.from("hello")]);
const TWO = printBlock({ block: 2, atMs: 2000, from: [8], to: [12], cut }, [
  Buffer.from("\n\0"),
  Buffer.from("ab"),
]);

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  await Promise.resolve();
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function blocksIn(bytes: Buffer, size = 7): Promise<Block[]> {
  const blocks: Block[] = [];
  for await (const block of readBlocks(inPieces(bytes, size))) blocks.push(block);
  return blocks;
}

test.each([1, 7, 64, 100_000])(
  "blocks behind each other are read in pieces of %d bytes",
  async (size) => {
    const [one, two, ...more] = await blocksIn(Buffer.concat([ONE, TWO]), size);
    expect(more).toEqual([]);
    expect(one?.header).toEqual({ block: 1, atMs: 1000, from: [3], to: [8] });
    expect(one?.payload.toString()).toBe("hello");
    expect(two?.header.cut).toEqual(cut);
    expect(two?.payload.toString()).toBe("\n\0ab");
  },
);

test("every changed byte and every missing end is found, and the blocks before it are read", async () => {
  const both = Buffer.concat([ONE, TWO]);
  for (let at = 0; at < both.length; at++) {
    const changed = Buffer.from(both);
    changed[at] = (changed[at] ?? 0) ^ 1;
    await expect(blocksIn(changed)).rejects.toThrow(BlockError);
  }
  for (let end = ONE.length + 1; end < both.length; end++) {
    await expect(blocksIn(both.subarray(0, end))).rejects.toThrow(BlockError);
  }
  const seen: number[] = [];
  const reading = (async () => {
    const cutShort = both.subarray(0, both.length - 1);
    for await (const { header } of readBlocks(inPieces(cutShort, 10))) seen.push(header.block);
  })();
  await expect(reading).rejects.toThrow("in the middle of a block");
  expect(seen).toEqual([1]);
});

test("offsets that do not fit together, and sizes that nobody writes, are refused", async () => {
  const back = printBlock({ block: 1, atMs: 1, from: [9], to: [8] }, []);
  await expect(blocksIn(back)).rejects.toThrow("do not fit");
  const other = printBlock({ block: 1, atMs: 1, from: [1, 2], to: [8] }, []);
  await expect(blocksIn(other)).rejects.toThrow("do not fit");
  const huge = Buffer.from(`TWINE-BLOCK 1 10 9999999999 ${"0".repeat(64)}\n`);
  await expect(blocksIn(huge)).rejects.toThrow("no block");
});
