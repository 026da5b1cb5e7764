// errors.ts: how Twine says no. Pure.
// One error carries what is wrong, where, and the remedy; several found together travel as one TwineErrors,
// because a person who mends a file wants the whole list, not the first line of it.

/** A place in a text: line and column count from 1. */
export interface SourceAt {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export interface Problem {
  /** Stable, upper case with underscores, e.g. CONF_PORT_TAKEN. */
  readonly code: string;
  /** What is wrong, naming the two things that clash. Lower case, no full stop. */
  readonly message: string;
  readonly at?: SourceAt;
  /** What to do about it. */
  readonly remedy?: string;
}

/** `file:line:column: message (remedy)`, without the place when there is none. */
export function formatProblem(problem: Problem): string {
  const { at } = problem;
  const place = at === undefined ? "" : `${at.file}:${at.line}:${at.column}: `;
  const remedy = problem.remedy === undefined ? "" : `\n  remedy: ${problem.remedy}`;
  return `${place}${problem.message}${remedy}`;
}

/** Exit codes shared by all tools; twine-status adds 10 DEGRADED and 20 HALT. */
export const EXIT = Object.freeze({ ok: 0, failure: 1, usage: 2, interrupted: 130 });

/** One or more problems found together. `exitCode` is what a tool ends with. */
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

  /** What to do about the first problem that says so. */
  get remedy(): string | undefined {
    return this.problems.find(({ remedy }) => remedy !== undefined)?.remedy;
  }
}

function isList(problems: Problem | readonly Problem[]): problems is readonly Problem[] {
  return Array.isArray(problems);
}

/** A broken invariant is our own mistake, never the user's: crash with the sentence that was believed. */
export function assert(condition: boolean, belief: string): asserts condition {
  if (!condition) throw new Error(`broken invariant: ${belief}`);
}
