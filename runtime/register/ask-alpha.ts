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
 * Sends the request and returns the message of the alpha's answer. It throws
 *   REFUSED, with the alpha's reason;
 *   NO_ANSWER, when no alpha has taken it in time: it is withdrawn, and no alpha will ever execute it;
 *   MAY_BE_EXECUTED, when it can't be withdrawn: an alpha has taken it, or too few status nodes answer;
 *   STATUS_UNREACHABLE, when no status node answers. The message says if one may have the request.
 */
export async function askAlpha(
  hashes: RequestBoard,
  body: RequestBody,
  options: AskOptions,
): Promise<string> {
  const { clock, id, withinMs } = options;
  const untilMs = Date.parse(clock.wallTime()) + withinMs;
  const request: Request = { id, body, state: "asked", message: "", untilMs };
  const news = new News(hashes, clock);
  try {
    await hashes.askRequest(request).catch(async (error: unknown) => {
      // A node may have it all the same: only its reply is missing.
      throw await afterUnread(hashes, request, error);
    });
    return await answered(hashes, request, options, news);
  } finally {
    news.end();
  }
}

async function answered(
  hashes: RequestBoard,
  request: Request,
  { clock, withinMs }: AskOptions,
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
    const answer = answerIn(requests, request);
    if (answer !== undefined) return answer;
    await news.next();
  }
  if (unread !== undefined) throw await afterUnread(hashes, request, unread);
  const message = `no alpha answered within ${withinMs / 1000} s`;
  if (await isWithdrawn(hashes, request, message)) throw noAnswer(message);
  // The answer may have come in this moment.
  const late = answerIn(await hashes.readRequests().catch(() => []), request);
  if (late !== undefined) return late;
  // What the alpha has not begun yet, it leaves out when it reads this.
  await hashes.answerRequest({ ...request, state: "refused", message }).catch(() => undefined);
  throw mayBeExecuted(message);
}

/** undefined: there is none yet. Throws REFUSED. */
function answerIn(requests: readonly Request[], { id }: Request): string | undefined {
  const answer = requests.find((other) => other.id === id);
  if (answer?.state === "refused") throw refusedBecause(answer.message);
  return answer?.state === "done" ? answer.message : undefined;
}

function isWithdrawn(hashes: RequestBoard, request: Request, message: string): Promise<boolean> {
  return hashes.withdrawRequest({ ...request, state: "refused", message });
}

/** The error, with what may still happen. */
async function afterUnread(
  hashes: RequestBoard,
  request: Request,
  error: unknown,
): Promise<unknown> {
  if (await isWithdrawn(hashes, request, "its tool could not read the answer")) return error;
  if (!(error instanceof TwineError)) return error;
  const problems = error.problems.map((problem) => ({
    ...problem,
    message: `${problem.message}; a status node may have the request, and then the alpha may still execute it`,
  }));
  return new TwineError(problems, { cause: error });
}

function noAnswer(message: string): TwineError {
  return new TwineError({
    code: "NO_ANSWER",
    message: `${message}; the request was withdrawn, and nothing was changed`,
    remedy: "see whether the monitors run (twine-status), start them (twine-start), and ask again",
  });
}

function mayBeExecuted(message: string): TwineError {
  return new TwineError({
    code: "MAY_BE_EXECUTED",
    message: `${message}, and the request can't be withdrawn with certainty: it may still be executed`,
    remedy:
      "see by twine-status what has changed before you ask again, and whether the monitors and status nodes run",
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
