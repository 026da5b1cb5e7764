// pinned-memory.ts: whether buffers that are kept keep memory that is not theirs.
import { expect } from "vitest";

/** Node makes small buffers of slabs of this size. */
const SLAB_BYTES = 64 * 1024;

/** All of them together keep at most twice their bytes and a slab; none of them keeps more than a slab or its own bytes. */
export function expectOwnMemory(buffers: readonly Buffer[]): void {
  const bytes = buffers.reduce((sum, { length }) => sum + length, 0);
  const pinned = new Set(buffers.map(({ buffer }) => buffer));
  const pinnedBytes = [...pinned].reduce((sum, { byteLength }) => sum + byteLength, 0);
  expect(pinnedBytes).toBeLessThanOrEqual(2 * bytes + SLAB_BYTES);
  for (const { buffer, length } of buffers) {
    expect(buffer.byteLength).toBeLessThanOrEqual(Math.max(SLAB_BYTES, 2 * length));
  }
}
