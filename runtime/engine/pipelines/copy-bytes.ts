// copy-bytes.ts: copies a range of one buffer into another. Pure.
// Most commands and replies have a few dozen bytes. For these a compiled loop costs less than a call of native code.

const LOOP_BYTES_MAX = 48;

/** Copies bytes[start, end) to `to` from `at` on; there must be room. Returns the index after the copy. */
export function copyBytes(
  bytes: Buffer,
  start: number,
  end: number,
  to: Buffer,
  at: number,
): number {
  if (end - start > LOOP_BYTES_MAX) {
    bytes.copy(to, at, start, end);
    return at + end - start;
  }
  let place = at;
  for (let index = start; index < end; index++) to[place++] = bytes[index] ?? 0;
  return place;
}
