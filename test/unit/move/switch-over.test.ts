// switch-over.test.ts: the tool's side of a switch, when what it copies breaks off in the middle.
import { expect, test } from "vitest";
import type { Request } from "../../../runtime/core/request.ts";
import { AlphaSteps } from "../../../runtime/move/reshard/alpha-steps.ts";
import { switchOver, type Successors } from "../../../runtime/move/reshard/switch-over.ts";
import { systemClock as clock } from "../../../runtime/ports/clock.ts";
import type { RequestBoard } from "../../../runtime/register/shared-hashes.ts";

/** An alpha that answers each request when it was looked for a few times. */
function slowBoard(): RequestBoard & { readonly requests: Map<string, Request> } {
  const requests = new Map<string, Request>();
  let looks = 0;
  const put = (request: Request): Promise<void> => {
    requests.set(request.id, request);
    return Promise.resolve();
  };
  return {
    requests,
    askRequest: put,
    answerRequest: put,
    withdrawRequest: () => Promise.resolve(false),
    readRequests: () => {
      looks++;
      if (looks < 5) return Promise.resolve([...requests.values()]);
      for (const request of requests.values()) void put({ ...request, state: "done" });
      return Promise.resolve([...requests.values()]);
    },
  };
}

test("a copy that breaks off while the alpha is asked to switch: the answer comes first, because an undo before the switch undoes nothing", async () => {
  const board = slowBoard();
  const alpha = new AlphaSteps({ board, clock, token: "t", by: "me", newId: () => "id" });
  const broken = new Error("a feed was lost");
  const successors: Successors = {
    follow: () => Promise.resolve(),
    followWhatCame: () => Promise.reject(broken),
    drainTo: () => Promise.resolve(),
    changes: () => 0,
    mayBeReadyEarly: true,
    ready: () => Promise.resolve({ masters: [] }),
    notReady: () => Promise.resolve(),
  };
  const views = {
    current: () => undefined,
    isConfirmed: () => true,
    onChange: () => () => undefined,
    close: () => Promise.resolve(),
  };
  const { signal } = new AbortController();
  const options = { alpha, views, clock, signal, onRepeat: () => undefined };
  const events = { onSwitch: () => undefined, onHeld: () => undefined };
  await expect(switchOver(options, successors, events)).rejects.toBe(broken);
  expect([...board.requests.values()].map(({ state }) => state)).toEqual(["done"]);
});
