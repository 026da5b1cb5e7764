// silence-watch.ts: closes a connection that sends nothing while replies are outstanding. The view does not show when only this
// process has lost the connection, so without a limit its requests would wait forever.
import type { PipelineContext, PipelineOptions } from "./pipeline-context.ts";

/** The shortest limit; hold-for when that is longer. */
const SILENT_MS = 30_000;

export class SilenceWatch {
  /** When bytes last arrived; set by the reader of the connection. */
  heardAtMs = 0;
  readonly #context: PipelineContext;
  readonly #isOwed: () => boolean;
  readonly #giveUp: (cause: string) => void;
  /** There is another node for the requests. */
  readonly #hasFallback: boolean;
  #endTimer: (() => void) | undefined;

  constructor(
    of: { readonly context: PipelineContext; readonly options: PipelineOptions },
    isOwed: () => boolean,
    giveUp: (cause: string) => void,
  ) {
    this.#context = of.context;
    this.#hasFallback = of.options.fallback !== undefined;
    this.#isOwed = isOwed;
    this.#giveUp = giveUp;
  }

  /** Call it after a write. */
  watch(): void {
    this.#endTimer ??= this.#after(this.#silentMsMax);
  }

  end(): void {
    this.#endTimer?.();
    this.#endTimer = undefined;
  }

  get #silentMsMax(): number {
    if (this.#hasFallback) return this.#context.readerSilentMs;
    return Math.max(SILENT_MS, this.#context.holdForMs) + this.#context.ackTimeoutMs;
  }

  #after(delayMs: number): () => void {
    return this.#context.clock.after(delayMs, () => {
      this.#endTimer = undefined;
      if (!this.#isOwed()) return;
      const leftMs = this.heardAtMs + this.#silentMsMax - this.#context.clock.nowMs();
      if (leftMs > 0) this.#endTimer = this.#after(leftMs);
      else this.#giveUp(`it was silent for ${this.#silentMsMax} ms`);
    });
  }
}
