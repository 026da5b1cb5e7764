// move-errors.ts: why a source's keys could not be moved. Pure.
import { TwineError } from "../core/errors.ts";
import type { NodeError } from "../replication/node-error.ts";

export function historyGone(): TwineError {
  return new TwineError({
    code: "MOVE_RESTART",
    message:
      "the source no longer has the changes since its RDB began: its repl-backlog-size is too small",
    remedy: "set repl-backlog-size of the source to 64mb or more, and begin again",
  });
}

export function refusedBy(refusal: NodeError): TwineError {
  return new TwineError(
    {
      code: "MOVE_REFUSED",
      message: `a target refuses what is moved to it: ${refusal.message}`,
      remedy: "see what the target lacks (memory, rights, a newer version), and begin again",
    },
    { cause: refusal },
  );
}

export function restartFor(why: string): TwineError {
  return new TwineError({
    code: "MOVE_RESTART",
    message: `the source did what can't be followed key by key: ${why}`,
    remedy: "begin again",
  });
}

export function tooLong(key: Buffer, bytes: number, bytesMax: number): TwineError {
  return new TwineError({
    code: "MOVE_VALUE_TOO_LONG",
    message: `the value of ${JSON.stringify(key.toString())} takes ${bytes} bytes, and ${bytesMax} are moved at most`,
    remedy: "split it, or allow more",
  });
}
