// refuse.ts: refuses in the Pulumi program, with only the text of a TwineError. Pulumi prints any other error as an
// unhandled exception, with its stack and, for a TwineError, every problem a second time.
import * as pulumi from "@pulumi/pulumi";
import { TwineError, formatProblem, type Problem } from "../../runtime/core/errors.ts";

/** Returns the result of `work`. Throws a pulumi.RunError with all problems of a TwineError; every other error
    unchanged. */
export function orRefuse<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof TwineError ? refusal(error.problems, error) : error;
  }
}

/** One problem per line, with its remedy below it. */
export function refusal(problems: readonly Problem[], cause?: unknown): pulumi.RunError {
  const words = problems.map(formatProblem).join("\n");
  const error =
    cause === undefined ? new pulumi.RunError(words) : new pulumi.RunError(words, { cause });
  // For an error from a promise, Pulumi prints its stack anyway.
  error.stack = words;
  return error;
}
