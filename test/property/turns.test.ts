// turns.test.ts: two hosts that want to restart a node of the same partition, each of which may stand still between any two
// of its steps, for longer than a lock lasts.
import fc from "fast-check";
import { expect, test } from "vitest";
import { Hold, LOCK_MS } from "../../infra/local/apply/turns.ts";

const STATUS_NODES = 3;
const YES = { yes: STATUS_NODES, no: 0 };
const NO = { yes: 0, no: STATUS_NODES };

type Step = "take" | "taken" | "look" | "confirm" | "stop" | "start" | "release";

interface Pause {
  readonly host: 0 | 1;
  readonly ms: number;
  /** The whole machine is suspended: its clock stands still. Otherwise only the process (SIGSTOP). */
  readonly isSuspended: boolean;
}

class World {
  nowMs = 0;
  #lock: { readonly host: number; readonly untilMs: number } | undefined;
  readonly away = [false, false];

  isMine(host: number): boolean {
    return this.#lock?.host === host && this.#lock.untilMs > this.nowMs;
  }

  set(host: number): boolean {
    if (this.#lock !== undefined && this.#lock.untilMs > this.nowMs) return false;
    this.#lock = { host, untilMs: this.nowMs + LOCK_MS };
    return true;
  }

  renew(host: number): boolean {
    if (!this.isMine(host)) return false;
    this.#lock = { host, untilMs: this.nowMs + LOCK_MS };
    return true;
  }

  release(host: number): void {
    if (this.isMine(host)) this.#lock = undefined;
  }
}

/** One host's twine-apply, step by step as turns.ts and service-steps.ts do it. */
class Applier {
  readonly #world: World;
  readonly #host: number;
  step: Step = "take";
  behindMs = 0;
  stops = 0;
  #sentMs = 0;
  #answers = NO;
  #hold = new Hold(STATUS_NODES, 0);

  constructor(world: World, host: number) {
    this.#world = world;
    this.#host = host;
  }

  get #clockMs(): number {
    return this.#world.nowMs - this.behindMs;
  }

  next(): void {
    this.step = this.#do();
  }

  #do(): Step {
    const world = this.#world;
    switch (this.step) {
      case "take":
        this.#sentMs = this.#clockMs;
        this.#answers = world.set(this.#host) ? YES : NO;
        return "taken";
      case "taken":
        this.#hold = new Hold(STATUS_NODES, this.#sentMs);
        return this.#answers === YES ? "look" : "take";
      case "look":
        return world.away[1 - this.#host] === true ? "release" : "confirm";
      case "confirm":
        this.#sentMs = this.#clockMs;
        this.#answers = world.renew(this.#host) ? YES : NO;
        return "stop";
      case "stop": {
        const isConfirmed = this.#hold.renewed(this.#answers, this.#sentMs);
        if (!isConfirmed || !this.#hold.isHeld(this.#clockMs)) return "release";
        world.away[this.#host] = true;
        this.stops += 1;
        return "start";
      }
      case "start":
        world.away[this.#host] = false;
        return "release";
      case "release":
        world.release(this.#host);
        return "take";
      default:
        return this.step satisfies never;
    }
  }
}

const pauses: fc.Arbitrary<Pause> = fc.record({
  host: fc.constantFrom(0, 1),
  ms: fc.oneof(
    { weight: 9, arbitrary: fc.integer({ min: 0, max: 200 }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 4 * LOCK_MS }) },
  ),
  isSuspended: fc.boolean(),
});

test("whenever a host stands still, never two nodes are away at once", () => {
  let stops = 0;
  fc.assert(
    fc.property(fc.array(pauses, { minLength: 60, maxLength: 200, size: "max" }), (all) => {
      const world = new World();
      const hosts = [new Applier(world, 0), new Applier(world, 1)];
      for (const { host, ms, isSuspended } of all) {
        const applier = hosts[host];
        if (applier === undefined) throw new Error("there are two hosts");
        world.nowMs += ms;
        // The one case that is left (docs/design/rolling-change.md): suspended between the confirmation and the signal.
        if (isSuspended && applier.step !== "stop") applier.behindMs += ms;
        applier.next();
        expect(world.away).not.toEqual([true, true]);
      }
      stops += hosts.reduce((sum, applier) => sum + applier.stops, 0);
    }),
    { numRuns: 600 },
  );
  // They do get on.
  expect(stops).toBeGreaterThan(600);
});

test("a lock that status nodes have given to another host is lost for good", () => {
  const hold = new Hold(3, 0);
  expect(hold.renewed({ yes: 1, no: 1 }, 1000)).toBe(false);
  expect(hold.isHeld(2000)).toBe(true);
  expect(hold.renewed({ yes: 2, no: 1 }, 3000)).toBe(true);
  expect(hold.renewed({ yes: 1, no: 2 }, 6000)).toBe(false);
  expect(hold.isHeld(6001)).toBe(false);
  expect(hold.renewed({ yes: 3, no: 0 }, 7000)).toBe(false);
});
