// natural-order.ts: the order of node names. Pure.
// "First" and "last" of several nodes always mean this order: runs of digits compare as numbers, so a9 < a10.

/** Negative when a comes first, positive when b does; 0 only for identical names. */
export function compareNames(a: string, b: string): number {
  const left = a.match(/\d+|\D+/g) ?? [];
  const right = b.match(/\d+|\D+/g) ?? [];
  for (let index = 0; index < Math.min(left.length, right.length); index++) {
    const difference = compareRuns(left[index] ?? "", right[index] ?? "");
    if (difference !== 0) return difference;
  }
  // a1 and a01 have equal runs: the plain comparison keeps the order total.
  return left.length - right.length || (a < b ? -1 : a > b ? 1 : 0);
}

function compareRuns(a: string, b: string): number {
  if (/^\d/.test(a) && /^\d/.test(b)) {
    const left = BigInt(a);
    const right = BigInt(b);
    return left < right ? -1 : left > right ? 1 : 0;
  }
  return a < b ? -1 : a > b ? 1 : 0;
}

/** A copy of the list, sorted by name. */
export function byName<T extends { readonly name: string }>(things: Iterable<T>): T[] {
  return [...things].sort((a, b) => compareNames(a.name, b.name));
}
