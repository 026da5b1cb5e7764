// script-errors.ts: handles errors of scripts that look like a node's refusal (READONLY, MASTERDOWN, LOADING). A script can
// return any error, so such an error does not prove that it was not executed. The node is asked by ROLE: if it is a master, it
// executed the script, and the error is the script's own; if it is a replica, the script is sent again.
//
//   EVAL -> -READONLY ...   then ROLE -> master: the error goes to its caller      slave: refused like any other
import { encodeCommand } from "../../resp/encode.ts";
import type { BufferedRequest } from "./in-flight.ts";

export const ROLE = encodeCommand(["ROLE"]);

const SCRIPTS = /^\*\d+\r\n\$\d+\r\n(?:eval|evalsha|fcall)(?:_ro)?\r\n/i;

/** Whether this command's reply may be a script's own error. */
export function runsScript(command: Buffer): boolean {
  return SCRIPTS.test(command.toString("latin1", 0, 64));
}

export class ScriptErrors {
  #errors: { readonly request: BufferedRequest; readonly raw: Buffer }[] = [];

  add(request: BufferedRequest, raw: Buffer): void {
    this.#errors.push({ request, raw });
  }

  /** Takes ROLE's reply for the oldest error. Returns its request if the node refused it; otherwise delivers the error. */
  settle(role: string): BufferedRequest | undefined {
    const error = this.#errors.shift();
    if (error === undefined) return undefined;
    if (/^\*\d+\r\n\$\d+\r\n(?:slave|replica)\r\n/.test(role)) return error.request;
    deliver(error);
    return undefined;
  }

  /** The connection broke before ROLE's reply: the callers get the errors as they are. */
  deliverAll(): void {
    for (const error of this.#errors.splice(0)) deliver(error);
  }
}

function deliver({
  request,
  raw,
}: {
  readonly request: BufferedRequest;
  readonly raw: Buffer;
}): void {
  if (!request.sink.isGone) request.sink.take(request.tag, raw, 0, raw.length);
}
