// network.ts: what lies between the hosts: delay, loss, repetition, and cuts of one direction.
//
// A stream is one direction of a TCP connection: in order, nothing lost; behind a cut it waits and is sent again when
// the cut heals, as a kernel does; only the first packet of a connection is sent again by the clock, after a second, after
// two more and so on, whenever the cut healed. A single message stands for a request whose connection may break: it can be lost,
// or be delivered twice.
import type { SeededRandom } from "../support/seeded-random.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SimProcess } from "./sim-process.ts";

export interface Weather {
  readonly leastMs: number;
  readonly spreadMs: number;
  /** One message in so many takes twenty times as long; 0: none. */
  readonly slowOneIn: number;
  readonly lostOneIn: number;
  readonly repeatedOneIn: number;
}

export interface Stream {
  send(deliver: () => void): void;
}

export class Network {
  readonly #scheduler: Scheduler;
  readonly #random: SeededRandom;
  #weather: Weather;
  /** Lies in wait for a command: called once for each, in the moment before it is sent. */
  #ambush: ((from: SimProcess, to: SimProcess, command: string) => void) | undefined;
  /** "FROM>TO" and what waits behind that cut. */
  readonly #cuts = new Map<string, (() => void)[]>();

  constructor(scheduler: Scheduler, random: SeededRandom, weather: Weather) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#weather = weather;
  }

  lieInWait(ambush: (from: SimProcess, to: SimProcess, command: string) => void): void {
    this.#ambush = ambush;
  }

  announce(from: SimProcess, to: SimProcess, command: string): void {
    this.#ambush?.(from, to, command);
  }

  /** Cuts one direction between two hosts; what is already under way arrives. */
  cut(from: string, to: string): void {
    const key = `${from}>${to}`;
    if (from !== to && !this.#cuts.has(key)) this.#cuts.set(key, []);
  }

  heal(from: string, to: string): void {
    const key = `${from}>${to}`;
    const waiting = this.#cuts.get(key) ?? [];
    this.#cuts.delete(key);
    for (const sendAgain of waiting) sendAgain();
  }

  /** Mends everything; from now on nothing is lost or repeated. */
  calm(): void {
    this.#ambush = undefined;
    this.#weather = { ...this.#weather, slowOneIn: 0, lostOneIn: 0, repeatedOneIn: 0 };
    for (const key of [...this.#cuts.keys()]) {
      const [from = "", to = ""] = key.split(">");
      this.heal(from, to);
    }
  }

  stream(from: SimProcess, to: SimProcess): Stream {
    let lastMs = 0;
    const send = (deliver: () => void): void => {
      const waiting = this.#cuts.get(`${from.host}>${to.host}`);
      if (waiting !== undefined) {
        waiting.push(() => {
          send(deliver);
        });
        return;
      }
      const { nowMs } = this.#scheduler;
      lastMs = Math.max(lastMs, nowMs + this.#delayMs(from, to));
      this.#scheduler.after(lastMs - nowMs, deliver);
    };
    return { send };
  }

  /** Calls `send` once nothing is cut between the two hosts: at once, or when a first packet would be sent again. */
  whenReached(from: SimProcess, to: SimProcess, send: () => void, resendMs = 1000): void {
    const isCut =
      this.#cuts.has(`${from.host}>${to.host}`) || this.#cuts.has(`${to.host}>${from.host}`);
    if (!isCut) {
      send();
      return;
    }
    this.#scheduler.after(resendMs, () => {
      this.whenReached(from, to, send, 2 * resendMs);
    });
  }

  post(from: SimProcess, to: SimProcess, deliver: () => void): void {
    const { lostOneIn, repeatedOneIn } = this.#weather;
    const waiting = this.#cuts.get(`${from.host}>${to.host}`);
    if (waiting !== undefined) {
      // Its connection is given up, or the kernel goes on trying.
      if (this.#random.isOnceIn(2)) {
        waiting.push(() => {
          this.post(from, to, deliver);
        });
      }
      return;
    }
    const isLocal = from.host === to.host;
    if (!isLocal && lostOneIn > 0 && this.#random.isOnceIn(lostOneIn)) return;
    this.#scheduler.after(this.#delayMs(from, to), deliver);
    if (!isLocal && repeatedOneIn > 0 && this.#random.isOnceIn(repeatedOneIn)) {
      this.#scheduler.after(this.#delayMs(from, to) * (1 + 20 * this.#random.next()), deliver);
    }
  }

  #delayMs(from: SimProcess, to: SimProcess): number {
    if (from.host === to.host) return 0.05;
    const { leastMs, spreadMs, slowOneIn } = this.#weather;
    const delayMs = leastMs + spreadMs * this.#random.next();
    return slowOneIn > 0 && this.#random.isOnceIn(slowOneIn) ? 20 * delayMs : delayMs;
  }
}
