// hash-function.ts: the type of all hashes in Twine, and how they read bytes. Pure.
// A hash reads a range of bytes in place, so that the router can hash a key in the receive buffer: no slice and no
// allocation per key.

/** The hash of bytes[start, end), as an unsigned 32-bit number. */
export type HashFunction = (bytes: Uint8Array, start: number, end: number) => number;

/** The byte as a signed C `char`, as on x86 and twemproxy's other usual machines: -128..127. */
export function signedByte(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 24) >> 24;
}

/** Two bytes, lowest first. */
export function littleEndian16(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
}

/** Four bytes, lowest first; a signed 32-bit number. */
export function littleEndian32(bytes: Uint8Array, at: number): number {
  return littleEndian16(bytes, at) | (littleEndian16(bytes, at + 2) << 16);
}
