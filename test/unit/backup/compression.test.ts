import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { decoded, encoderOf } from "../../../runtime/backup/compression.ts";

async function* chunksOf(bytes: Buffer, size = 1000): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size)
    yield await Promise.resolve(bytes.subarray(at, at + size));
}

async function all(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const found: Buffer[] = [];
  for await (const chunk of chunks) found.push(chunk);
  return Buffer.concat(found);
}

const PLAIN = Buffer.concat([randomBytes(100_000), Buffer.alloc(200_000, "x")]);

async function encoded(compression: "none" | "zstd"): Promise<Buffer> {
  const encoder = encoderOf(compression);
  const parts: Buffer[] = [];
  for await (const chunk of chunksOf(PLAIN)) parts.push(...(await encoder.push(chunk)));
  parts.push(...(await encoder.end()));
  return Buffer.concat(parts);
}

test.each(["none", "zstd"] as const)("%s gives back what it was given", async (compression) => {
  const stored = await encoded(compression);
  expect(stored.length < PLAIN.length).toBe(compression === "zstd");
  expect((await all(decoded(chunksOf(stored), compression))).equals(PLAIN)).toBe(true);
});

describe("bytes that are not zstd's", () => {
  test.each([
    ["of another kind", () => Buffer.from("REDIS0011")],
    ["cut short", (stored: Buffer) => stored.subarray(0, -100)],
  ])("%s are an error, and never a wait without an end", async (_, damage) => {
    const stored = damage(await encoded("zstd"));
    await expect(all(decoded(chunksOf(stored), "zstd"))).rejects.toThrow();
  });
});
