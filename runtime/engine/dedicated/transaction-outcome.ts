// transaction-outcome.ts: interprets the replies to MULTI, its commands and EXEC. Pure.
//
//   +OK  +QUEUED -OOM ... +QUEUED  -EXECABORT      nothing was executed; the command's own error is the reason
//   +OK  +QUEUED +QUEUED           *2 ...          all was executed
//   +OK  +QUEUED +QUEUED           *-1             a watched key had changed: nothing was executed
import { decodeReply } from "../../resp/decode.ts";
import { errorReply } from "../../resp/encode.ts";
import { isNotExecuted } from "../pipelines/outcome.ts";

export type TransactionOutcome =
  /** `reply` is EXEC's reply. */
  | { readonly kind: "executed"; readonly reply: Buffer }
  /** `reply` is the error for the client, with the reason. */
  | { readonly kind: "aborted"; readonly reply: Buffer }
  /** The node is no master; repeat it at another. */
  | { readonly kind: "refused"; readonly why: string };

const MINUS = 45;

/** `replies`: of MULTI, of each command, and of EXEC at the end. */
export function transactionOutcome(replies: readonly Buffer[]): TransactionOutcome {
  const reply = replies.at(-1) ?? errorReply("ERR twine: EXEC gave no reply");
  if (reply[0] !== MINUS) {
    return isNull(reply) ? { kind: "aborted", reply } : { kind: "executed", reply };
  }
  const errors = replies.filter((one) => one[0] === MINUS).map(textOf);
  const because = errors.map((text) => text.replace(/^EXECABORT .*?because of: /, ""));
  const refused = because.find((text) =>
    isNotExecuted(Buffer.from(`-${text}`), 0, text.length + 1),
  );
  if (refused !== undefined) return { kind: "refused", why: refused };
  // The client got QUEUED for the command, so EXEC's error must contain the reason.
  const [first = ""] = because;
  return errors.length > 1
    ? { kind: "aborted", reply: errorReply(`EXECABORT Transaction discarded because of: ${first}`) }
    : { kind: "aborted", reply };
}

/** RESP2's null array or RESP3's null. */
export function isNull(reply: Buffer): boolean {
  return reply[0] === 95 || (reply.length < 6 && decodeReply(reply).type === "null");
}

function textOf(reply: Buffer): string {
  return reply.toString("latin1", 1, reply.length - 2);
}
