// complain.ts: how the readers of lines say what is wrong with a word. Pure.
// Nothing throws: every complaint is collected, so that one run shows them all.
import type { Problem, SourceAt } from "../errors.ts";
import type { Line, Word } from "./lines.ts";

export type Complain = (problem: Problem) => void;

/** One line while it is read: where it stands and where its complaints go. */
export interface Reading {
  readonly file: string;
  readonly line: Line;
  readonly complain: Complain;
}

/** The place of a word, or of the end of the line where a word is missing. */
export function placeOf(reading: Reading, word: Word | undefined): SourceAt {
  const { file, line } = reading;
  const offset = word?.start ?? line.words.at(-1)?.end ?? 0;
  return { file, line: line.number, column: offset + 1 };
}

/**
 * Complains about one word. Always null, which readers return for "rejected"; undefined means "not
 * said".
 */
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
  /** With its article: "the port". */
  readonly what: string;
  readonly min: number;
  readonly max: number;
  readonly remedy: string;
}

/** A whole number within its limits, or null after a complaint. */
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
