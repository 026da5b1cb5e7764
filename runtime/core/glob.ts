// glob.ts: Redis's glob patterns, as in PSUBSCRIBE: * ? [abc] [^abc] [a-z], and \ to escape a character. Pure.
// On a mismatch only the last star matches one more character. So the time is at most pattern length times text length.
// Backtracking to every star would double the time with each star.

/** Whether the whole of `text` matches `pattern`. Compares bytes; case counts. */
export function matchesGlob(pattern: string, text: string): boolean {
  let at = 0;
  let place = 0;
  let starAt = -1;
  let starPlace = 0;
  while (place < text.length) {
    if (pattern[at] === "*") {
      starAt = at++;
      starPlace = place;
      continue;
    }
    const next = at < pattern.length ? afterOne(pattern, at, text[place] ?? "") : -1;
    if (next !== -1) {
      at = next;
      place++;
    } else if (starAt !== -1) {
      at = starAt + 1;
      place = ++starPlace;
    } else return false;
  }
  while (pattern[at] === "*") at++;
  return at === pattern.length;
}

/** The next position in the pattern after the element at `at` matched `character`; -1 if it does not match. */
function afterOne(pattern: string, at: number, character: string): number {
  const sign = pattern[at];
  if (sign === "?") return at + 1;
  if (sign === "[") return afterClass(pattern, at + 1, character);
  if (sign === "\\" && at + 1 < pattern.length) {
    return pattern[at + 1] === character ? at + 2 : -1;
  }
  return sign === character ? at + 1 : -1;
}

/** An unclosed class ends at the end of the pattern, as in Redis. */
function afterClass(pattern: string, start: number, character: string): number {
  const isNegated = pattern[start] === "^";
  let at = isNegated ? start + 1 : start;
  let isIn = false;
  while (at < pattern.length && pattern[at] !== "]") {
    if (pattern[at] === "\\" && at + 1 < pattern.length) {
      isIn ||= pattern[at + 1] === character;
      at += 2;
    } else if (pattern[at + 1] === "-" && at + 2 < pattern.length) {
      const ends = [pattern[at] ?? "", pattern[at + 2] ?? ""].sort();
      isIn ||= (ends[0] ?? "") <= character && character <= (ends[1] ?? "");
      at += 3;
    } else {
      isIn ||= pattern[at] === character;
      at++;
    }
  }
  const end = Math.min(at + 1, pattern.length);
  return isIn === isNegated ? -1 : end;
}
