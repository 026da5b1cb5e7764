// load-screen.ts: what a person sees of a load, and says to it.
//
//   Ctrl-C: while copying it ends at once; later it ends when the last writes are copied, or at once at the second Ctrl-C
//   a wish to cut over (--cutover, SIGUSR1, Enter): kept until it can be fulfilled
import type { Clock } from "../../ports/clock.ts";
import type { Verified } from "../verify/verify.ts";
import { verifiedText } from "../verify/verified-text.ts";
import type { LoadOptions, LoadPhase, LoadReport } from "./load-options.ts";
import { untilAborted } from "../until-aborted.ts";

export interface ScreenOptions {
  readonly clock: Clock;
  readonly isJson: boolean;
  readonly isTerminal: boolean;
  readonly write: (text: string) => void;
  /** How long it follows after the switch; undefined: until the user ends it. */
  readonly untilMs: number | undefined;
  readonly asksAtOnce: boolean;
  readonly isOnce: boolean;
}

type ScreenPorts = Pick<
  LoadOptions,
  | "signal"
  | "ending"
  | "onPhase"
  | "onRepeat"
  | "onNote"
  | "onCompared"
  | "onReady"
  | "cutoverAsked"
  | "untilEnding"
>;

const LINE_EVERY_MS = 5_000;

export class LoadScreen {
  readonly #options: ScreenOptions;
  readonly #abort = new AbortController();
  readonly #ending = new AbortController();
  readonly #cutover = new AbortController();
  #phase: LoadPhase | "" = "";
  #shownAtMs = -Infinity;
  #isSwitched = false;
  #isReady = false;
  #repeated = "";
  /** A line on the terminal is not ended. */
  #isOpen = false;
  #cancelEnd: () => void = () => undefined;

  constructor(options: ScreenOptions) {
    this.#options = options;
    if (options.asksAtOnce) this.#cutover.abort();
  }

  /** Everything ends at once. */
  get isAborted(): boolean {
    return this.#abort.signal.aborted;
  }

  get isSwitched(): boolean {
    return this.#isSwitched;
  }

  /** What an interruption at once has left. */
  get leftText(): string {
    if (this.#isSwitched) {
      return "interrupted: it follows no longer, and the source's last writes may be missing in the cluster";
    }
    if (this.#follows) {
      return "interrupted: the cluster has all keys, and the source's last writes may be missing; the same command with the same --checkpoint goes on";
    }
    return "interrupted: the cluster holds a part of the keys; empty it before the next try, or go on with the same --checkpoint";
  }

  interrupt(reason: unknown): void {
    if (!this.#follows || this.#ending.signal.aborted) {
      this.#abort.abort(reason);
      return;
    }
    this.#ending.abort(reason);
    this.#say("ending: the last writes are copied; Ctrl-C again ends it at once");
  }

  get #follows(): boolean {
    return this.#phase !== "" && this.#phase !== "copying";
  }

  askCutover(): void {
    if (this.#options.isOnce || this.#cutover.signal.aborted) return;
    this.#cutover.abort();
    this.#say("cutover: waiting until nothing is written at the source for 2 s");
  }

  close(): void {
    this.#cancelEnd();
    this.#endLine();
  }

  ports(): ScreenPorts {
    return {
      signal: this.#abort.signal,
      ending: this.#ending.signal,
      onPhase: (phase, report) => {
        this.#show(phase, report);
      },
      onRepeat: (why) => {
        if (why !== this.#repeated) this.#say(`trying again: ${why}`);
        this.#repeated = why;
      },
      onNote: (text) => {
        this.#say(text);
      },
      onCompared: (verified) => {
        this.#say(verifiedText(verified).trimEnd());
      },
      onReady: (verified) => {
        this.#ready(verified);
      },
      cutoverAsked: (signal) => untilAborted(this.#cutover.signal, this.#ending.signal, signal),
      untilEnding: (signal) => untilAborted(this.#ending.signal, signal),
    };
  }

  #ready(verified: Verified | undefined): void {
    if (this.#isReady) return;
    this.#isReady = true;
    const how = this.#options.asksAtOnce
      ? "stop the writes at the source; then this says when the application may switch"
      : `stop the writes at the source, then press Enter here or send SIGUSR1 to process ${process.pid}; this says when the application may switch`;
    const differs = verified?.isSame === false ? "; keys that differ are compared again then" : "";
    this.#say(`the cluster has all keys and follows each write. To finish: ${how}${differs}`);
  }

  #show(phase: LoadPhase, { keys, keysTotal, bytes, lagBytes }: LoadReport): void {
    const nowMs = this.#options.clock.nowMs();
    const isNew = phase !== this.#phase;
    const everyMs = this.#options.isTerminal ? 200 : LINE_EVERY_MS;
    if (!isNew && nowMs - this.#shownAtMs < everyMs) return;
    this.#phase = phase;
    this.#shownAtMs = nowMs;
    if (phase === "switched" && isNew) this.#switch();
    if (phase !== "following") this.#repeated = "";
    const line =
      phase === "copying"
        ? `copying: ${keys} of about ${keysTotal} keys, ${(bytes / 1e6).toFixed(1)} MB`
        : `${phase}: ${lagBytes} bytes behind`;
    if (this.#options.isTerminal) this.#overwrite(line);
    else if (isNew || phase === "copying") this.#say(line);
  }

  #switch(): void {
    if (this.#isSwitched) return;
    this.#isSwitched = true;
    this.#say("the application may switch to this cluster: it has every write of the source");
    const { untilMs, clock } = this.#options;
    if (untilMs !== undefined) {
      this.#cancelEnd = clock.after(untilMs, () => {
        this.#ending.abort(new Error("the time of --until is over"));
      });
    } else this.#say("late writes at the source are still copied; Ctrl-C ends it");
  }

  #say(line: string): void {
    if (this.#options.isJson) return;
    this.#endLine();
    this.#options.write(`${line}\n`);
  }

  #overwrite(line: string): void {
    if (this.#options.isJson) return;
    this.#isOpen = true;
    this.#options.write(`\r\u001b[K${line}`);
  }

  #endLine(): void {
    if (this.#isOpen) this.#options.write("\n");
    this.#isOpen = false;
  }
}
