// durations.ts: durations in twine.conf: `500ms`, `1s`, `10m`, `1h`, `7d`: a whole number and a unit. Pure.

const UNITS: readonly (readonly [unit: string, ms: number])[] = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
  ["ms", 1],
];

/**
 * Milliseconds, or undefined if the text is not a duration. A number without a unit is not one, because its unit would be
 * a guess.
 */
export function parseDuration(text: string): number | undefined {
  const [, digits, unit] = /^(\d{1,12})(ms|s|m|h|d)$/i.exec(text) ?? [];
  const ms = UNITS.find(([name]) => name === unit?.toLowerCase())?.[1];
  return ms === undefined ? undefined : Number(digits) * ms;
}

/** The shortest text that parses back to the same milliseconds. */
export function printDuration(ms: number): string {
  if (ms === 0) return "0s";
  const [unit, size] = UNITS.find(([, size]) => ms % size === 0) ?? ["ms", 1];
  return `${ms / size}${unit}`;
}
