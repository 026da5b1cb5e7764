// option-values.ts: reads the values of a bench's options; commander says which option was wrong.
import { InvalidArgumentError } from "commander";

/** A whole number of at least `least`. @throws {InvalidArgumentError} */
export function wholeFrom(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < least) {
      throw new InvalidArgumentError(`a whole number from ${least}`);
    }
    return value;
  };
}

/** Some of the known words, with commas between them. @throws {InvalidArgumentError} */
export function someOf<T extends string>(known: readonly T[]): (text: string) => T[] {
  return (text) =>
    text.split(",").map((word) => {
      const found = known.find((name) => name === word);
      if (found === undefined) throw new InvalidArgumentError(`one of ${known.join(", ")}`);
      return found;
    });
}
