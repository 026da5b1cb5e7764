// lzf.ts: undoes the LZF compression of a short string inside an RDB, a key or a function's code. Pure.
//
//   000lllll                 l + 1 bytes follow as they are
//   lllooooo [llllllll] oooooooo   l + 2 bytes (l = 7: and the next byte more) from o + 1 bytes back, perhaps overlapping

/** Exactly `length` bytes, or undefined when `packed` is no LZF of that many. */
export function unpackLzf(packed: Uint8Array, length: number): Buffer | undefined {
  const out = Buffer.alloc(length);
  let to = 0;
  for (let at = 0; at < packed.length;) {
    const control = packed[at++] ?? 0;
    if (control < 32) {
      const count = control + 1;
      if (at + count > packed.length || to + count > length) return undefined;
      out.set(packed.subarray(at, at + count), to);
      at += count;
      to += count;
      continue;
    }
    let count = (control >> 5) + 2;
    if (count === 9) count += packed[at++] ?? 0;
    const back = ((control & 31) << 8) + (packed[at++] ?? 0) + 1;
    if (at > packed.length || back > to || to + count > length) return undefined;
    for (let copied = 0; copied < count; copied++, to++) out[to] = out[to - back] ?? 0;
  }
  return to === length ? out : undefined;
}
