// alpha-steps.test.ts: what a tool may believe of the alpha's answer when status nodes were silent in between.
import { expect, test } from "vitest";
import { TwineError } from "../../../runtime/core/errors.ts";
import type { Request } from "../../../runtime/core/request.ts";
import { AlphaSteps, type StepName } from "../../../runtime/move/reshard/alpha-steps.ts";
import { systemClock } from "../../../runtime/ports/clock.ts";
import type { RequestBoard } from "../../../runtime/register/shared-hashes.ts";

/** Status nodes that get the first question, and whose reply to it is lost; an alpha that refuses every later one. */
function boardThatLosesAReply(): RequestBoard {
  const requests: Request[] = [];
  return {
    askRequest: (request) => {
      requests.push({ ...request, state: "refused", message: "it is not under way" });
      if (requests.length > 1) return Promise.resolve();
      const lost = { code: "STATUS_UNREACHABLE", message: "no status node of 3 answered" };
      return Promise.reject(new TwineError(lost));
    },
    readRequests: () => Promise.resolve(requests),
    withdrawRequest: () => Promise.resolve(false),
    answerRequest: () => Promise.resolve(),
  };
}

function codeOf(step: StepName, board: RequestBoard): Promise<string> {
  let count = 0;
  const newId = (): string => String(++count);
  const alpha = new AlphaSteps({ board, clock: systemClock, token: "t", by: "me", newId });
  return alpha.ask(step).then(
    () => "done",
    (error: unknown) => (error instanceof TwineError ? error.code : String(error)),
  );
}

test("a refused commit proves nothing when an earlier one may have been executed", async () => {
  expect(await codeOf("commit", boardThatLosesAReply())).toBe("STATUS_UNREACHABLE");
  expect(await codeOf("cancel", boardThatLosesAReply())).toBe("REFUSED");
});
