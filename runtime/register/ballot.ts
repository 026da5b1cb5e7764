// ballot.ts: the order of ballots, and their text form "COUNT:proposer". Pure.
// The scripts on the status nodes use the same order (scripts.ts); a contract test compares the two.
import { assert } from "../core/errors.ts";
import type { Ballot } from "./register.ts";

/** Negative if a is lower. null is below every ballot. */
export function compareBallots(a: Ballot | null, b: Ballot | null): number {
  if (a === null || b === null) return (a === null ? 0 : 1) - (b === null ? 0 : 1);
  if (a.count !== b.count) return a.count - b.count;
  return a.proposer < b.proposer ? -1 : a.proposer > b.proposer ? 1 : 0;
}

export function isSameBallot(a: Ballot | null, b: Ballot | null): boolean {
  return compareBallots(a, b) === 0;
}

/** The higher of two ballots. */
export function higherBallot<T extends Ballot | null>(a: T, b: T): T {
  return compareBallots(a, b) >= 0 ? a : b;
}

/** `COUNT:proposer`; "" for null. */
export function ballotText(ballot: Ballot | null): string {
  return ballot === null ? "" : `${ballot.count}:${ballot.proposer}`;
}

/** The inverse of ballotText. Throws on any other text. */
export function parseBallot(text: string): Ballot | null {
  if (text === "") return null;
  const match = /^(\d{1,15}):(.*)$/s.exec(text);
  assert(match !== null, `"${text}" is a ballot`);
  return { count: Number(match[1]), proposer: match[2] ?? "" };
}
