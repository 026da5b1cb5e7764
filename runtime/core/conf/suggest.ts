// suggest.ts: "did you mean". Pure.

/** The candidate nearest to `word`, or undefined if none is near enough. */
export function suggest(word: string, candidates: Iterable<string>): string | undefined {
  const wanted = word.toLowerCase();
  // A longer word may have more typos, but two words that share nothing are never near.
  let nearest = Math.min(3, Math.max(1, Math.floor(wanted.length / 3))) + 1;
  let found: string | undefined;
  for (const candidate of candidates) {
    const name = candidate.toLowerCase();
    // fnv1a_64 means twemproxy-fnv1a_64, whatever the edit distance is.
    if (wanted.length > 2 && name.endsWith(`-${wanted}`)) return candidate;
    if (Math.abs(name.length - wanted.length) >= nearest) continue;
    const distance = editDistance(wanted, name);
    if (distance >= nearest || distance >= name.length) continue;
    nearest = distance;
    found = candidate;
  }
  return found;
}

/**
 * The number of insertions, deletions, replacements and swaps of neighbours that turn a into b (optimal string alignment,
 * after Damerau 1964).
 */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const isSame = a[row - 1] === b[column - 1];
      let least = Math.min(
        (above[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (above[column - 1] ?? 0) + (isSame ? 0 : 1),
      );
      const isSwap = row > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (isSwap) least = Math.min(least, (before[column - 2] ?? 0) + 1);
      current.push(least);
    }
    before = above;
    above = current;
  }
  return above[b.length] ?? 0;
}

/** `; did you mean X?` or nothing. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const found = suggest(word, candidates);
  return found === undefined ? "" : `; did you mean ${found}?`;
}
