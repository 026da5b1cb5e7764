// copy-bytes.ts: copies a range of one buffer into another. Pure.
// Most commands and replies are a few dozen bytes, where a loop that the compiler sees through costs less than a call
// into native code does.

const LOOP_BYTES_MAX = 48;

/** Copies bytes[start, end) to `to` from `at` on; there must be room. Gives the place behind the copy. */
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
