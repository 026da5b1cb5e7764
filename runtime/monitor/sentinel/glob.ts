// glob.ts: Redis's patterns, as PSUBSCRIBE takes them: * ? [abc] [^abc] [a-z] and \ before what is meant as it is. Pure.
// On a mismatch only the last star takes one more character: the time is at most pattern times text, whatever
// the pattern, where trying every star again would double it with each.

/** Whether the whole of `text` fits `pattern`; both byte for byte, case counts. */
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

/** Where the pattern goes on after the element at `at` took `character`; -1 when it does not take it. */
function afterOne(pattern: string, at: number, character: string): number {
  const sign = pattern[at];
  if (sign === "?") return at + 1;
  if (sign === "[") return afterClass(pattern, at + 1, character);
  if (sign === "\\" && at + 1 < pattern.length) {
    return pattern[at + 1] === character ? at + 2 : -1;
  }
  return sign === character ? at + 1 : -1;
}

/** A class that is not closed ends with the pattern, as in Redis. */
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
