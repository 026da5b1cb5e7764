// refuse.ts: how the Pulumi program says no: with the words of a TwineError alone. Pulumi prints any other error as an
// unhandled exception, with its stack and, of ours, every problem a second time.
import * as pulumi from "@pulumi/pulumi";
import { TwineError, formatProblem, type Problem } from "../../runtime/core/errors.ts";

/** What `work` gives. Throws a pulumi.RunError with all problems of a TwineError; every other error as it is. */
export function orRefuse<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof TwineError ? refusal(error.problems, error) : error;
  }
}

/** One problem to a line, with its remedy below it. */
export function refusal(problems: readonly Problem[], cause?: unknown): pulumi.RunError {
  const words = problems.map(formatProblem).join("\n");
  return cause === undefined ? new pulumi.RunError(words) : new pulumi.RunError(words, { cause });
}
