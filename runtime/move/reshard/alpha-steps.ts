// alpha-steps.ts: what the tool asks the alpha in the course of one resharding, and its heartbeat meanwhile.
import { TwineError } from "../../core/errors.ts";
import type { NewMaster, ReshardRequest } from "../../core/request.ts";
import type { ReshardProgress } from "../../core/reshard-progress.ts";
import type { Clock } from "../../ports/clock.ts";
import { askAlpha } from "../../register/ask-alpha.ts";
import type { RequestBoard } from "../../register/shared-hashes.ts";

export interface AlphaStepsOptions {
  readonly board: RequestBoard;
  readonly clock: Clock;
  readonly token: string;
  /** Who reshards, for people. */
  readonly by: string;
  /** An id that nobody else uses. */
  readonly newId: () => string;
}

export type StepName = Exclude<ReshardRequest, { step: "alive" }>["step"];

const ALIVE_EVERY_MS = 2000;
const ANSWER_WITHIN_MS = 15_000;
const POLL_MS = 100;

export class AlphaSteps {
  readonly #options: AlphaStepsOptions;
  readonly #aliveId: string;
  #count = 0;
  #isCounting = false;
  #progress: ReshardProgress | undefined;
  #counting = Promise.resolve();

  constructor(options: AlphaStepsOptions) {
    this.#options = options;
    this.#aliveId = options.newId();
  }

  get token(): string {
    return this.#options.token;
  }

  /** Throws REFUSED, NO_ANSWER, MAY_BE_EXECUTED, STATUS_UNREACHABLE. The last two: whether it was executed is not known. */
  async ask(
    step: StepName,
    more: { readonly conf?: string; readonly masters?: readonly NewMaster[] } = {},
  ): Promise<void> {
    const { board, clock, token, by, newId } = this.#options;
    const { conf = "", masters = [] } = more;
    const body: ReshardRequest = { kind: "reshard", step, token, by, conf, masters };
    const endMs = clock.nowMs() + ANSWER_WITHIN_MS;
    let unreachable: TwineError | undefined;
    for (;;) {
      try {
        await askAlpha(board, body, { clock, id: newId(), withinMs: ANSWER_WITHIN_MS });
        return;
      } catch (error) {
        if (!(error instanceof TwineError)) throw error;
        // The commit before may have been executed: then this one is refused because it is over.
        if (step === "commit" && unreachable !== undefined && error.code === "REFUSED") {
          throw unreachable;
        }
        if (error.code !== "STATUS_UNREACHABLE" || clock.nowMs() > endMs) throw error;
        unreachable = error;
        await clock.delay(POLL_MS);
      }
    }
  }

  /** For people, with the next heartbeat. */
  report(progress: ReshardProgress): void {
    this.#progress = progress;
  }

  startCounting(): void {
    this.#isCounting = true;
    this.#counting = this.#countOn();
  }

  /** The alpha ends what is left of this resharding at once. Never rejects. */
  async stopCounting(): Promise<void> {
    if (!this.#isCounting) return;
    this.#isCounting = false;
    await this.#counting;
    // An answer is removed when it is old, a question would be read for ever.
    await this.#options.board
      .answerRequest({ ...this.#alive(), state: "done", message: "over" })
      .catch(() => undefined);
  }

  #alive() {
    const { token } = this.#options;
    const progress = this.#progress === undefined ? {} : { progress: this.#progress };
    const body = {
      kind: "reshard",
      step: "alive",
      token,
      count: this.#count,
      ...progress,
    } as const;
    return { id: this.#aliveId, body, state: "asked", message: "" } as const;
  }

  /** By the clock: while much is copied, a delay may take several times as long. */
  async #rest(): Promise<void> {
    const { clock } = this.#options;
    const nextMs = clock.nowMs() + ALIVE_EVERY_MS;
    while (clock.nowMs() < nextMs) {
      if (!this.#isCounting) return;
      await clock.delay(POLL_MS);
    }
  }

  async #countOn(): Promise<void> {
    const { board } = this.#options;
    while (this.#isCounting) {
      this.#count++;
      await board.askRequest(this.#alive()).catch(() => undefined);
      await this.#rest();
    }
  }
}
