// sizes.ts: sizes such as `64mb` or `1gb`, with Redis's units: k, m, g, t are powers of 1000; kb, mb, gb, tb of 1024.
// Pure.
// https://redis.io/docs/latest/operate/oss_and_stack/management/config-file/ (the note at its top)

const UNITS: Readonly<Record<string, number>> = Object.freeze({
  tb: 1024 ** 4,
  t: 1000 ** 4,
  gb: 1024 ** 3,
  g: 1000 ** 3,
  mb: 1024 ** 2,
  m: 1000 ** 2,
  kb: 1024,
  k: 1000,
  b: 1,
});

/**
 * Bytes, or undefined if the text is not a size. A number without a unit counts bytes. The case of the unit is ignored.
 */
export function parseSize(text: string): number | undefined {
  const [, digits, unit] = /^(\d{1,15})(b|[kmgt]b?)?$/i.exec(text) ?? [];
  if (digits === undefined) return undefined;
  const bytes = Number(digits) * (UNITS[unit?.toLowerCase() ?? "b"] ?? 1);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** The shortest text that parses back to the same bytes. */
export function printSize(bytes: number): string {
  if (bytes === 0) return "0";
  const found = Object.entries(UNITS)
    .filter(([unit, size]) => unit !== "b" && bytes % size === 0)
    .map(([unit, size]) => `${bytes / size}${unit}`)
    .sort((a, b) => a.length - b.length);
  return found[0] ?? String(bytes);
}
