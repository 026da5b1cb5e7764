// ranges.ts: prints a list of numbers in short form. Pure.

/** `0, 3 to 5, 9`, from numbers in any order. After `most` ranges the rest is only counted. */
export function printRanges(numbers: Iterable<number>, most = 6): string {
  const sorted = [...new Set(numbers)].sort((a, b) => a - b);
  const ranges: [first: number, last: number][] = [];
  for (const number of sorted) {
    const range = ranges.at(-1);
    if (range !== undefined && range[1] === number - 1) range[1] = number;
    else ranges.push([number, number]);
  }
  const parts = ranges.slice(0, most).map(([first, last]) => {
    if (first === last) return String(first);
    return last === first + 1 ? `${first}, ${last}` : `${first} to ${last}`;
  });
  const left = ranges.slice(most).reduce((sum, [first, last]) => sum + last - first + 1, 0);
  return left === 0 ? parts.join(", ") : `${parts.join(", ")} and ${left} more`;
}

/** The verb for the number of things. */
export function hasOrHave(things: readonly unknown[]): string {
  return things.length === 1 ? "has" : "have";
}

/** `partition 3` or `partitions 3, 5 to 9`. */
export function printPartitions(numbers: readonly number[]): string {
  return `${numbers.length === 1 ? "partition" : "partitions"} ${printRanges(numbers)}`;
}
