// probe-keys.ts: the fixed keys that identify a partition function. Pure.
//
// Two functions that put all these keys into the same partitions count as the same function, whatever their names and
// paths are. The keys are of the kinds that programs use (short and long, numbers, ids, other alphabets, with and without
// a hash tag), because functions often differ only for one kind.
// The keys never change: the view of a running cluster records its function's results for exactly these keys.

/** Enough that different functions agree only by design, and few enough for a hash that is a program. */
export const PROBE_KEY_COUNT = 256;

const WORDS = ["user", "session", "cart", "queue", "lock", "feed", "page", "rate"] as const;

/** The probe keys as UTF-8, in fixed order. No key contains a zero byte, because executables can't get one. */
export function probeKeys(): readonly Uint8Array[] {
  const encoder = new TextEncoder();
  return Array.from({ length: PROBE_KEY_COUNT }, (_, index) => encoder.encode(probeKey(index)));
}

function probeKey(index: number): string {
  const round = Math.floor(index / 8);
  const word = WORDS[round % WORDS.length] ?? "";
  switch (index % 8) {
    case 0:
      return round === 0 ? "" : `${word}:${round}`;
    case 1:
      return String(scrambled(index));
    case 2:
      return `${word}:${hex(index)}-${hex(index + 1000)}-${hex(index + 2000)}`;
    case 3:
      return String.fromCharCode(33 + ((index * 7) % 94));
    case 4:
      return `ключ:${round}:キー:é`;
    case 5:
      return `${word}/${"abcdefghij".repeat(1 + round)}`;
    case 6:
      return `${word}:{${hex(index)}}:${round}`;
    default:
      return `${word.toUpperCase()} ${round}\t${hex(index)}`;
  }
}

/** A pseudo-random whole number below 2^32: Knuth's multiplicative hash. */
function scrambled(index: number): number {
  return Math.imul(index + 1, 2654435761) >>> 0;
}

function hex(index: number): string {
  return scrambled(index).toString(16).padStart(8, "0");
}
