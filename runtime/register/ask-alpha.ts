// ask-alpha.ts: a tool's question to the alpha by way of the status nodes, and the alpha's answer.
//
//   request on every status node that can be reached -> the alpha does or refuses it -> its answer in the same place
import type { Request, RequestBody } from "../core/request.ts";
import { TwineError } from "../core/errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { NoticeBoard } from "./notice-board.ts";

export interface AskOptions {
  readonly clock: Clock;
  /** An id that nobody else uses. */
  readonly id: string;
  readonly withinMs: number;
}

const LOOK_EVERY_MS = 50;

/**
 * Asks and waits; answers what the alpha says it did.
 * Throws REFUSED with the alpha's reason, NO_ANSWER when none came in time (the request is then withdrawn), and
 * STATUS_UNREACHABLE when there is no status node to ask through.
 */
export async function askAlpha(
  board: NoticeBoard,
  body: RequestBody,
  { clock, id, withinMs }: AskOptions,
): Promise<string> {
  const request: Request = { id, body, state: "asked", message: "" };
  await board.askRequest(request);
  const endMs = clock.nowMs() + withinMs;
  while (clock.nowMs() < endMs) {
    const answer = (await board.readRequests()).find((other) => other.id === id);
    if (answer?.state === "done") return answer.message;
    if (answer?.state === "refused") throw refusedBecause(answer.message);
    await clock.delay(LOOK_EVERY_MS);
  }
  const message = `no alpha answered within ${withinMs / 1000} s`;
  // What nobody waits for any more must not be done at some later time.
  await board.answerRequest({ ...request, state: "refused", message });
  throw new TwineError({
    code: "NO_ANSWER",
    message,
    remedy: "see whether the monitors run (twine-status), start them (twine-start), and ask again",
  });
}

function refusedBecause(message: string): TwineError {
  return new TwineError({
    code: "REFUSED",
    message: `the alpha refused: ${message}`,
    remedy: "nothing was changed; mend that (twine-status names what is wrong), and ask again",
  });
}
