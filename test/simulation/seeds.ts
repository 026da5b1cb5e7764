// seeds.ts: the seeds that failed once.
import { readFileSync } from "node:fs";

export function knownSeeds(): number[] {
  const text = readFileSync(new URL("seeds.txt", import.meta.url), "utf8");
  return text
    .split("\n")
    .filter((line) => /^\d/.test(line))
    .map((line) => Number.parseInt(line, 10));
}
