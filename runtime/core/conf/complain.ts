// complain.ts: reports errors in the words of a line. Pure.
// No function throws: all errors are collected, so that one run shows them all.
import type { Problem, SourceAt } from "../errors.ts";
import type { Line, Word } from "./lines.ts";

export type Complain = (problem: Problem) => void;

/** The line that is being read, and the function that collects its errors. */
export interface Reading {
  readonly file: string;
  readonly line: Line;
  readonly complain: Complain;
}

/** The location of a word, or of the end of the line if the word is missing. */
export function placeOf(reading: Reading, word: Word | undefined): SourceAt {
  const { file, line } = reading;
  const offset = word?.start ?? line.words.at(-1)?.end ?? 0;
  return { file, line: line.number, column: offset + 1 };
}

/** Reports an error in one word. Always returns null, which readers return for "rejected"; undefined means "not set". */
export function reject(
  reading: Reading,
  word: Word | undefined,
  code: string,
  message: string,
  remedy: string,
): null {
  reading.complain({ code, message, at: placeOf(reading, word), remedy });
  return null;
}

export interface NumberLimits {
  /** The name with its article: "the port". */
  readonly what: string;
  readonly min: number;
  readonly max: number;
  readonly remedy: string;
}

/** A whole number within the limits, or null after an error. */
export function readNumber(
  reading: Reading,
  word: Word | undefined,
  limits: NumberLimits,
): number | null {
  const { what, min, max, remedy } = limits;
  const text = word?.text ?? "";
  const value = /^\d{1,15}$/.test(text) ? Number(text) : undefined;
  if (value !== undefined && value >= min && value <= max) return value;
  const message = `${what} is '${text}', not a whole number from ${min} to ${max}`;
  return reject(reading, word, "CONF_BAD_NUMBER", message, remedy);
}
