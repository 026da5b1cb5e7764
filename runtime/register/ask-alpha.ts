// ask-alpha.ts: sends a tool's request to the alpha through the status nodes and awaits the answer.
//
//   request on every reachable status node -> the alpha executes or refuses it -> its answer in the same entry
import type { Request, RequestBody } from "../core/request.ts";
import { TwineError } from "../core/errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { RequestBoard } from "./shared-hashes.ts";

export interface AskOptions {
  readonly clock: Clock;
  /** A unique id. */
  readonly id: string;
  readonly withinMs: number;
}

const LOOK_EVERY_MS = 10;
/** Each look costs a read on every status node, so it is rarer when the answer is announced. */
const LOOK_EVERY_MS_WITH_NEWS = 25;

/**
 * Sends the request and returns the message of the alpha's answer.
 * Throws REFUSED with the alpha's reason, NO_ANSWER if no answer arrived in time (the request is then withdrawn), and
 * STATUS_UNREACHABLE if no status node is reachable.
 */
export async function askAlpha(
  hashes: RequestBoard,
  body: RequestBody,
  { clock, id, withinMs }: AskOptions,
): Promise<string> {
  const request: Request = { id, body, state: "asked", message: "" };
  const news = new News(hashes, clock);
  try {
    await hashes.askRequest(request);
    return await answered(hashes, request, { clock, id, withinMs }, news);
  } finally {
    news.end();
  }
}

async function answered(
  hashes: RequestBoard,
  request: Request,
  { clock, id, withinMs }: AskOptions,
  news: News,
): Promise<string> {
  const endMs = clock.nowMs() + withinMs;
  let unread: Error | undefined;
  while (clock.nowMs() < endMs) {
    unread = undefined;
    // It is asked: status nodes that are silent for a moment may have the answer in the next.
    const requests = await hashes.readRequests().catch((error: unknown) => {
      unread = error instanceof Error ? error : new Error(String(error));
      return [];
    });
    const answer = requests.find((other) => other.id === id);
    if (answer?.state === "done") return answer.message;
    if (answer?.state === "refused") throw refusedBecause(answer.message);
    await news.next();
  }
  if (unread !== undefined) throw unread;
  const message = `no alpha answered within ${withinMs / 1000} s`;
  // Withdraw the request: it must not be executed later, when no tool awaits it.
  await hashes.answerRequest({ ...request, state: "refused", message });
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
    remedy: "nothing was changed; correct what twine-status names, then try again",
  });
}

/** When to look again: something on the board has changed, or some time has passed. */
class News {
  readonly #clock: Clock;
  readonly #everyMs: number;
  readonly end: () => void;
  #isThere = false;
  #wake: () => void = () => undefined;

  constructor({ onRequestNews }: RequestBoard, clock: Clock) {
    this.#clock = clock;
    this.#everyMs = onRequestNews === undefined ? LOOK_EVERY_MS : LOOK_EVERY_MS_WITH_NEWS;
    const end = onRequestNews?.(() => {
      this.#isThere = true;
      this.#wake();
    });
    this.end = () => {
      end?.();
      this.#wake();
    };
  }

  async next(): Promise<void> {
    if (!this.#isThere) {
      await new Promise<void>((resolve) => {
        const cancel = this.#clock.after(this.#everyMs, resolve);
        this.#wake = () => {
          cancel();
          resolve();
        };
      });
    }
    this.#isThere = false;
  }
}
