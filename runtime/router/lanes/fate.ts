// fate.ts: what became of a request whose reply did not come, or came as a refusal. Pure.
import { errorReply } from "../../resp/encode.ts";
import { RequestSplitter } from "../../resp/request-splitter.ts";
import { OVERTAKEN, overtakenReads, plainKeys } from "../../route/overtaken.ts";
import { isIdempotent } from "../../route/repeatable.ts";
import type { Held } from "./in-flight.ts";

/** These three errors come instead of the command's execution, never after it. `start` is where a `-` stands. */
export function isNotExecuted(bytes: Buffer, start: number, end: number): boolean {
  const text = bytes.toString("latin1", start + 1, Math.min(start + 12, end));
  return /^(READONLY|MASTERDOWN|LOADING) /.test(text);
}

/** Whether a request that may have been executed may be sent again. */
export function mayRepeat(held: Held, retryUnknown: "reads" | "idempotent"): boolean {
  if (held.isRead) return true;
  if (retryUnknown === "reads") return false;
  return isIdempotent(argsOf(held));
}

/** The reads of `run`, all that was on the wire in its order, that are not repeated because they would show a later write
    of their own client. `idempotent` is the wish for no error where that is all that can be seen. */
export function overtaken(
  run: readonly Held[],
  retryUnknown: "reads" | "idempotent",
): ReadonlySet<Held> {
  if (retryUnknown === "idempotent") return new Set();
  return overtakenReads(
    run,
    ({ sink }) => sink.owner,
    (held) => plainKeys(argsOf(held)),
  );
}

function argsOf(held: Held): readonly Buffer[] {
  const splitter = new RequestSplitter();
  splitter.push(held.command);
  return splitter.next()?.args ?? [];
}

/** What a request gets that is sent nowhere any more. A write that was on the wire once may have been executed. */
export function lostReply(
  held: Pick<Held, "isRead" | "unknownAt">,
  partition: number,
  why: string,
  isOvertaken = false,
): Buffer {
  if (held.unknownAt === undefined || (held.isRead && !isOvertaken)) {
    return errorReply(`TWINEDOWN ${why}`);
  }
  return errorReply(
    `UNCERTAIN ${held.unknownAt} of partition ${partition} gave no reply, ` +
      `${isOvertaken ? OVERTAKEN : "the command may have been executed"}: ${why}`,
  );
}

/** Why a held request was given up. `mayGo` is false when the view doesn't allow it to be sent. */
export function whyUnserved(lane: {
  readonly partition: number;
  readonly target: { readonly name: string } | undefined;
  /** What ended or hindered the lane's last connection; "" for nothing. */
  readonly problem: string;
  readonly mayGo: boolean;
}): string {
  const { partition, target, problem, mayGo } = lane;
  if (target === undefined) return `partition ${partition} has no master`;
  if (problem !== "") return `partition ${partition} can't be served by ${target.name}: ${problem}`;
  if (!mayGo) {
    return `partition ${partition}: no majority of the status nodes confirms its master`;
  }
  return `partition ${partition}: its master ${target.name} does not answer`;
}
