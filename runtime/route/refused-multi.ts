// refused-multi.ts: what follows a refused MULTI. Pure.
// Clients send MULTI, the commands and EXEC in one go, without waiting for MULTI's reply. Executing those commands one
// by one would do what nobody asked for: half of a transaction that is then reported as failed. So nothing is executed
// until the client has ended its transaction.
import { errorReply, OK_REPLY } from "../resp/encode.ts";
import { refusal } from "./wire-errors.ts";

export interface AfterMulti {
  readonly reply: Buffer;
  /** The transaction has ended: commands are executed again. */
  readonly isOver: boolean;
}

/** The answer to command `name` after a refused MULTI; undefined when the session answers it, which ends it too. */
export function afterRefusedMulti(name: string): AfterMulti | undefined {
  switch (name) {
    case "reset":
    case "quit":
      return undefined;
    case "exec":
      return {
        reply: errorReply("EXECABORT Transaction discarded because twine does not support 'multi'"),
        isOver: true,
      };
    case "discard":
      return { reply: OK_REPLY, isOver: true };
    default: {
      const reason = "the 'multi' before it was refused, and 'exec' or 'discard' has not come";
      return { reply: refusal(name, reason), isOver: false };
    }
  }
}
