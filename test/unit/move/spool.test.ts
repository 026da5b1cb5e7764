// spool.test.ts: the bytes of a queue come out as they went in, and its files do not grow while it is read.
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Spool } from "../../../runtime/move/spool.ts";

function folderOfTest(): string {
  const folder = mkdtempSync(join(tmpdir(), "twine-spool-"));
  onTestFinished(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

const sizeOf = (folder: string): number =>
  readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);

test("a reader that is always a little behind gets every byte in order, and what it has read leaves the disk", async () => {
  const folder = folderOfTest();
  const spool = await Spool.open(join(folder, "feed"), 1000);
  const [written, read]: [Buffer[], Buffer[]] = [[], []];
  let largest = 0;
  await spool.push(Buffer.alloc(300, "first"));
  written.push(Buffer.alloc(300, "first"));
  for (let at = 0; at < 200; at++) {
    const bytes = Buffer.alloc(70 + (at % 61), String(at));
    written.push(bytes);
    await spool.push(bytes);
    read.push(await spool.next(bytes.length));
    expect(spool.waitingBytes).toBeGreaterThan(0);
    largest = Math.max(largest, sizeOf(folder));
  }
  while (spool.waitingBytes > 0) read.push(await spool.next());
  expect(Buffer.concat(read).equals(Buffer.concat(written))).toBe(true);
  // Some 20,000 bytes went through it.
  expect(largest).toBeLessThan(3500);
  expect(sizeOf(folder)).toBe(0);
  await spool.push(Buffer.from("more"));
  expect((await spool.next()).toString()).toBe("more");
  await spool.close();
  expect(readdirSync(folder)).toEqual([]);
});

test("what was not read is removed with the queue, and a waiting reader gets nothing", async () => {
  const folder = folderOfTest();
  const spool = await Spool.open(join(folder, "feed"), 10);
  const waiting = spool.next();
  spool.wake();
  expect(await waiting).toHaveLength(0);
  for (let at = 0; at < 5; at++) await spool.push(Buffer.alloc(10));
  expect(readdirSync(folder)).toHaveLength(5);
  await spool.close();
  expect(readdirSync(folder)).toEqual([]);
});
