// copy-pace.ts: how fast keys are copied: at most as fast as the user says, and slower while the sources answer late.
//
//   work for 5 ms --> how long does a PING of every source's master take? --> rest a part of that time --> work ...
//                        longer than twice its time before the copy: the rest is doubled
//                        else: it is halved, down to none
//
// The question is asked while nothing is worked on here, so this process itself delays no answer.
import type { Clock } from "../ports/clock.ts";

/** At most so much in a second; undefined: no limit. */
export interface CopyLimit {
  readonly keys?: number | undefined;
  readonly bytes?: number | undefined;
  /** Whatever the sources' answers take.
      @default false */
  readonly isHeedless?: boolean | undefined;
}

export interface CopyPaceOptions {
  readonly clock: Clock;
  readonly limit?: CopyLimit | undefined;
  /** A round trip to all who must not be slowed. */
  readonly probe: () => Promise<unknown>;
}

const SLICE_MS = 5;
/** What is longer was no work: a source prepares its RDB. */
const SLICE_MS_MAX = 50;
const BASE_PROBES = 40;
const BASE_EVERY_MS = 10;
const RECENT_PROBES = 20;
const REST_LEAST = 0.25;
/** It goes on at a ninth of its speed at least. */
const REST_MOST = 8;
/** Delays below this are those of any machine. */
const NOISE_MS = 1;
/** A rest that is shorter than the clock's tick is none. */
const DELAY_MS_LEAST = 1;
/**
 * What a long value has used up is waited for bit by bit, with a little read in between: a source ends a transfer that stands
 * still for a minute (repl-timeout). So an interruption is heard soon, too.
 */
const DELAY_MS_MOST = 2000;
/** With less of them a source would see the transfer stand still. */
const KEYS_LEAST = 1000;
const BYTES_LEAST = 100 * 1024;

/** The next rest as a multiple of the work before. Pure. */
export function nextRest(rest: number, recentMs: number, baseMs: number): number {
  if (recentMs > 2 * baseMs + NOISE_MS) return Math.min(REST_MOST, Math.max(REST_LEAST, 2 * rest));
  return rest / 2 < REST_LEAST ? 0 : rest / 2;
}

/** One in ten takes longer. Pure. */
export function slowestTenth(tookMs: readonly number[]): number {
  const sorted = tookMs.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length * 0.9)] ?? 0;
}

export class CopyPace {
  readonly #options: CopyPaceOptions;
  readonly #recentMs: number[] = [];
  /** undefined: not measured, so there are no rests. */
  #baseMs: number | undefined;
  #rest = 0;
  #sliceSinceMs = 0;
  #resting: Promise<void> | undefined;
  /** Until then the limit is used up. */
  #freeAtMs = 0;

  constructor(options: CopyPaceOptions) {
    this.#options = options;
  }

  /** How the sources answer when nothing is copied. */
  async begin(): Promise<void> {
    const { clock, limit = {} } = this.#options;
    if (limit.isHeedless === true) return;
    const tookMs: number[] = [];
    for (let count = 0; count < BASE_PROBES; count++) {
      tookMs.push(await this.#probed());
      await clock.delay(BASE_EVERY_MS);
    }
    this.#baseMs = slowestTenth(tookMs);
    this.#sliceSinceMs = clock.nowMs();
  }

  /** So much was copied: resolves when more may be. */
  async copied(keys: number, bytes: number): Promise<void> {
    const { clock, limit = {} } = this.#options;
    const nowMs = clock.nowMs();
    const seconds = Math.max(keys / (limit.keys ?? Infinity), bytes / (limit.bytes ?? Infinity));
    this.#freeAtMs = Math.max(nowMs, this.#freeAtMs) + 1000 * seconds;
    const delayMs = Math.min(this.#freeAtMs - nowMs, DELAY_MS_MOST);
    if (delayMs >= DELAY_MS_LEAST) await clock.delay(delayMs);
    await this.worked();
  }

  /** Something was done: resolves when more may be. All who work rest at the same time. */
  async worked(): Promise<void> {
    if (this.#resting === undefined) {
      const workedMs = this.#options.clock.nowMs() - this.#sliceSinceMs;
      if (this.#baseMs === undefined || workedMs < SLICE_MS) return;
      this.#resting = this.#rested(Math.min(workedMs, SLICE_MS_MAX), this.#baseMs).finally(() => {
        this.#resting = undefined;
        this.#sliceSinceMs = this.#options.clock.nowMs();
      });
    }
    await this.#resting;
  }

  async #rested(workedMs: number, baseMs: number): Promise<void> {
    this.#recentMs.push(await this.#probed());
    if (this.#recentMs.length >= RECENT_PROBES) {
      this.#rest = nextRest(this.#rest, slowestTenth(this.#recentMs), baseMs);
      this.#recentMs.splice(0, RECENT_PROBES / 2);
    }
    const restMs = this.#rest * workedMs;
    if (restMs >= DELAY_MS_LEAST) await this.#options.clock.delay(restMs);
  }

  async #probed(): Promise<number> {
    const { clock, probe } = this.#options;
    const askedMs = clock.nowMs();
    await probe();
    return clock.nowMs() - askedMs;
  }
}

const UNITS = { kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 } as const;

/** "20000": keys a second; "10mb": bytes a second; "max": as fast as possible; undefined: none of them, or too little. Pure. */
export function parseCopyLimit(text: string): CopyLimit | undefined {
  if (text === "max") return { isHeedless: true };
  const [, digits, unit] = /^(\d{1,9})(kb|mb|gb)?$/i.exec(text) ?? [];
  const count = Number(digits ?? 0);
  if (unit === undefined) return count < KEYS_LEAST ? undefined : { keys: count };
  const bytes = count * UNITS[unit.toLowerCase() as keyof typeof UNITS];
  return bytes < BYTES_LEAST ? undefined : { bytes };
}
