// outcome.ts: the outcome of a request without a reply, or with a refusal. Pure.
import { errorReply } from "../../resp/encode.ts";
import { RequestSplitter } from "../../resp/request-splitter.ts";
import { OVERTAKEN, overtakenReads, plainKeys } from "../../route/replies/overtaken.ts";
import { isIdempotent } from "../../route/commands/repeatable.ts";
import type { BufferedRequest } from "./in-flight.ts";

/** Whether the reply is one of the three errors that prove that the command was not executed. `start`: the index of its `-`. */
export function isNotExecuted(bytes: Buffer, start: number, end: number): boolean {
  const text = bytes.toString("latin1", start + 1, Math.min(start + 12, end));
  return /^(READONLY|MASTERDOWN|LOADING) /.test(text);
}

/** Whether a request with an unknown outcome may be sent again. */
export function mayRepeat(request: BufferedRequest, retryUnknown: "reads" | "idempotent"): boolean {
  if (request.isRead) return true;
  if (retryUnknown === "reads") return false;
  return isIdempotent(argsOf(request));
}

/** The reads of `run` (all sent requests, in order) that are not repeated, because they would show a later write of the same
    client. With retry-unknown idempotent they are repeated if that is the only difference a client can see. */
export function overtaken(
  run: readonly BufferedRequest[],
  retryUnknown: "reads" | "idempotent",
): ReadonlySet<BufferedRequest> {
  if (retryUnknown === "idempotent") return new Set();
  return overtakenReads(run, ({ sink }) => sink.owner, keysOfRequest);
}

/** The keys of a request, by plainKeys(). */
export function keysOfRequest(request: BufferedRequest): readonly string[] | undefined {
  return plainKeys(argsOf(request));
}

/** Splits the requests that were on the wire when a connection to `node` broke: those to send again (once, and only while
    their client is connected), and the lost ones, each with whether a later write of its own client would show in it. */
export function afterBreak(
  unknown: readonly BufferedRequest[],
  node: string,
  retryUnknown: "reads" | "idempotent",
): { readonly again: BufferedRequest[]; readonly lost: [BufferedRequest, boolean][] } {
  const stale = overtaken(unknown, retryUnknown);
  const again: BufferedRequest[] = [];
  const lost: [BufferedRequest, boolean][] = [];
  for (const request of unknown) {
    // A request whose connection broke at two nodes is not tried at a third.
    const isSecond = request.unknownAt !== undefined;
    request.unknownAt = node;
    if (request.sink.isGone) continue;
    if (!stale.has(request) && !isSecond && mayRepeat(request, retryUnknown)) again.push(request);
    else lost.push([request, stale.has(request)]);
  }
  return { again, lost };
}

function argsOf(request: BufferedRequest): readonly Buffer[] {
  const splitter = new RequestSplitter();
  splitter.push(request.command);
  return splitter.next()?.args ?? [];
}

/** The error for a request that is not sent again. A write that was sent once may have been executed. */
export function lostReply(
  request: Pick<BufferedRequest, "isRead" | "unknownAt">,
  partition: number,
  why: string,
  isOvertaken = false,
): Buffer {
  if (request.unknownAt === undefined || (request.isRead && !isOvertaken)) {
    return errorReply(`TWINEDOWN ${why}`);
  }
  return errorReply(
    `UNCERTAIN ${request.unknownAt} of partition ${partition} gave no reply, ` +
      `${isOvertaken ? OVERTAKEN : "the command may have been executed"}: ${why}`,
  );
}

/** Why a buffered request was rejected. `problem`: why the last connection ended or failed, "" for none. `mayGo`: false when
    the view does not allow it to be sent. */
export function whyUnserved(
  partition: number,
  target: { readonly name: string } | undefined,
  problem: string,
  mayGo: boolean,
  followed?: string,
): string {
  if (target === undefined && followed !== undefined) {
    return `partition ${partition} follows ${followed}, which serves its keys until twine-follow --switch`;
  }
  if (target === undefined) return `partition ${partition} has no master`;
  if (problem !== "") return `partition ${partition} can't be served by ${target.name}: ${problem}`;
  if (!mayGo) {
    return `partition ${partition}: no majority of the status nodes confirms its master`;
  }
  return `partition ${partition}: its master ${target.name} does not answer`;
}
