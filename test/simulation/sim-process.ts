// sim-process.ts: one process of the simulated world: it runs, is paused, is dead, comes back; its clock is its own.
//
//   down --start--> up --pause--> paused --resume--> up --crash--> down
//
// Invariants: what was meant for one life never reaches another; a paused process does nothing, and does it all when it
// wakes, timers and what arrived meanwhile in the order in which they were due.
import type { Clock } from "../../runtime/ports/clock.ts";
import type { SeededRandom } from "../support/seeded-random.ts";
import type { Scheduler } from "./scheduler.ts";

export interface SimProcessOptions {
  readonly name: string;
  readonly host: string;
  readonly scheduler: Scheduler;
  readonly random: SeededRandom;
  /** How fast its clock runs: 1.01 is one percent too fast. */
  readonly clockRate: number;
}

export class SimProcess {
  readonly name: string;
  readonly host: string;
  readonly #scheduler: Scheduler;
  readonly #random: SeededRandom;
  readonly #clockRate: number;
  #life = 0;
  #isUp = false;
  #isMute = false;
  #isPaused = false;
  #isCatchingUp = false;
  #jumpMs = 0;
  #wallJumpMs = 0;
  #inbox: (() => void)[] = [];

  constructor({ name, host, scheduler, random, clockRate }: SimProcessOptions) {
    this.name = name;
    this.host = host;
    this.#scheduler = scheduler;
    this.#random = random;
    this.#clockRate = clockRate;
  }

  /** Counts the starts; what belongs to an earlier one is void. */
  get life(): number {
    return this.#life;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** Down with its machine: nobody is there to refuse a connection. */
  get isMute(): boolean {
    return !this.#isUp && this.#isMute;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  isAlive(life: number): boolean {
    return this.#isUp && life === this.#life;
  }

  start(): void {
    this.#life += 1;
    this.#isUp = true;
    this.#isPaused = false;
    this.#isCatchingUp = false;
    this.#inbox = [];
  }

  stop({ isMute }: { readonly isMute: boolean }): void {
    this.#isUp = false;
    this.#isMute = isMute;
    this.#isPaused = false;
    this.#isCatchingUp = false;
    this.#inbox = [];
  }

  pause(): void {
    this.#isPaused = this.#isUp;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#catchUp();
  }

  /**
   * One task after the other, a little apart, so that what each of them set going is over before the next. Until all are
   * done whatever is new waits behind them: a stream's bytes must not overtake those that came before (simulation,
   * seed 51560: replies were taken for those of other requests, and writes counted as acknowledged that never were).
   */
  #catchUp(): void {
    const life = this.#life;
    this.#isCatchingUp = this.#inbox.length > 0;
    if (!this.#isCatchingUp) return;
    this.#scheduler.after(this.#random.next() / 20, () => {
      if (!this.#isAwake(life)) return;
      this.#inbox.shift()?.();
      if (this.#isAwake(life)) this.#catchUp();
    });
  }

  #isAwake(life: number): boolean {
    return this.isAlive(life) && !this.#isPaused;
  }

  /** Runs `task` in that life: now, when it wakes, or never. */
  run(life: number, task: () => void): void {
    if (!this.isAlive(life)) return;
    if (this.#isPaused || this.#isCatchingUp) this.#inbox.push(task);
    else task();
  }

  /** Its clocks go ahead by that much at once: the monotonic one, as after a suspend, and the one on the wall. */
  jump(jumpMs: number, wallJumpMs: number): void {
    this.#jumpMs += jumpMs;
    this.#wallJumpMs += wallJumpMs;
  }

  /** The clock of its present life; timers end with it. */
  clock(): Clock {
    const life = this.#life;
    const after: Clock["after"] = (delayMs, task) => {
      const planned = this.#scheduler.after(delayMs / this.#clockRate, () => {
        let isTakenBack = false;
        cancel = () => {
          isTakenBack = true;
        };
        this.run(life, () => {
          if (!isTakenBack) task();
        });
      });
      let cancel = (): void => {
        planned.cancel();
      };
      return () => {
        cancel();
      };
    };
    return {
      nowMs: () => this.#scheduler.nowMs * this.#clockRate + this.#jumpMs,
      wallTime: () =>
        new Date(
          Math.round(WALL_START_MS + this.#scheduler.nowMs + this.#wallJumpMs),
        ).toISOString(),
      after,
      delay: (delayMs) => new Promise((resolve) => after(delayMs, resolve)),
    };
  }
}

const WALL_START_MS = Date.UTC(2026, 0, 1);
