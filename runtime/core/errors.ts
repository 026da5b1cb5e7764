// errors.ts: Twine's errors. Each has a message, a location and a remedy. Pure.
// A TwineError holds all problems that were found together, because an operator who corrects a file needs the whole list,
// not only the first problem.

/** A source location. Line and column count from 1. */
export interface SourceAt {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export interface Problem {
  /** Stable, upper case with underscores, e.g. CONF_PORT_TAKEN. */
  readonly code: string;
  /** What is wrong; names both sides of a conflict. Lower case, no full stop. */
  readonly message: string;
  readonly at?: SourceAt;
  /** What to do about it. */
  readonly remedy?: string;
}

/** `file:line:column: message`, and the remedy on a second line. Location and remedy are optional. */
export function formatProblem(problem: Problem): string {
  const { at } = problem;
  const place = at === undefined ? "" : `${at.file}:${at.line}:${at.column}: `;
  const remedy = problem.remedy === undefined ? "" : `\n  remedy: ${problem.remedy}`;
  return `${place}${problem.message}${remedy}`;
}

/** Exit codes shared by all tools; twine-status adds 10 DEGRADED and 20 HALT. */
export const EXIT = Object.freeze({ ok: 0, failure: 1, usage: 2, interrupted: 130 });

/** One or more problems found together. `exitCode` is the exit code of a tool. */
export class TwineError extends Error {
  readonly problems: readonly Problem[];
  readonly exitCode: number;

  constructor(
    problems: Problem | readonly Problem[],
    options: { exitCode?: number; cause?: unknown } = {},
  ) {
    const list: readonly Problem[] = isList(problems) ? problems : [problems];
    super(
      list.map(formatProblem).join("\n"),
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.name = "TwineError";
    this.problems = list;
    this.exitCode = options.exitCode ?? EXIT.failure;
  }

  /** The first problem's code, for tests and callers that branch on it. */
  get code(): string {
    return this.problems[0]?.code ?? "UNKNOWN";
  }

  /** The remedy of the first problem that has one. */
  get remedy(): string | undefined {
    return this.problems.find(({ remedy }) => remedy !== undefined)?.remedy;
  }
}

function isList(problems: Problem | readonly Problem[]): problems is readonly Problem[] {
  return Array.isArray(problems);
}

/** Throws if the condition is false. A broken invariant is always a bug in Twine: crash with the violated rule. */
export function assert(condition: boolean, belief: string): asserts condition {
  if (!condition) throw new Error(`broken invariant: ${belief}`);
}

/** What was asked for can't be: a wrong argument, or two that exclude each other. */
export function usageError(code: string, message: string, remedy: string): TwineError {
  return new TwineError({ code, message, remedy }, { exitCode: EXIT.usage });
}
