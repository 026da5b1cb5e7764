// call-order.test.ts: the order of calls, transactions and blocking commands of one client, against a model: whatever is
// answered when, everything begins after what it must not overtake, and nothing waits for a partition that isn't its own.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  CallOrder,
  type Entry,
  type Partitions,
} from "../../../runtime/engine/calls/call-order.ts";

interface Item {
  readonly number: number;
  readonly kind: Entry["kind"];
  readonly partitions: Partitions;
  readonly isOvertakable?: boolean;
}

/** A client whose nodes answer when the test says so. */
class Model {
  readonly order = new CallOrder<Item>((item) => item.partitions);
  readonly begun: number[] = [];
  readonly ended = new Set<number>();
  readonly #open = new Map<number, () => void>();

  constructor() {
    this.order.open();
  }

  call(item: Item): void {
    const begin = (over: () => void): void => {
      this.begun.push(item.number);
      if (item.kind !== "call") {
        this.#open.set(item.number, over);
        return;
      }
      const tag = this.order.begin(item);
      this.#open.set(item.number, () => this.order.settle(tag));
    };
    if (item.kind === "call" && this.order.isFree) begin(() => undefined);
    else {
      this.order.add({
        kind: item.kind,
        partitions: () => item.partitions,
        start: begin,
        fail: () => undefined,
        sinceMs: 0,
        isOvertakable: item.kind === "call" && item.isOvertakable === true,
      });
    }
  }

  /** The one of that rank among those under way is answered. */
  answer(rank: number): void {
    const numbers = [...this.#open.keys()];
    const number = numbers[rank % Math.max(numbers.length, 1)];
    if (number === undefined) return;
    const end = this.#open.get(number);
    this.#open.delete(number);
    this.ended.add(number);
    end?.();
  }

  get openCount(): number {
    return this.#open.size;
  }
}

function overlap(a: Partitions, b: Partitions): boolean {
  return a === "all" || b === "all" || a.some((one) => b.includes(one));
}

/** Whether `later` may begin while `earlier` is in that state. */
function mayPass(earlier: Item, later: Item, hasBegun: boolean, hasEnded: boolean): boolean {
  if (!overlap(earlier.partitions, later.partitions) || hasEnded) return true;
  const isOvertakable = earlier.isOvertakable === true && earlier.partitions === "all";
  if (!hasBegun) return earlier.kind === "call" && isOvertakable;
  if (later.kind === "call") return earlier.kind !== "gating";
  return earlier.kind === "passing";
}

const partitions = fc.oneof(
  fc.uniqueArray(fc.nat({ max: 2 }), { minLength: 1, maxLength: 2 }),
  fc.constant<Partitions>("all"),
);
const step = fc.oneof(
  fc.record({
    kind: fc.constantFrom<Entry["kind"]>("call", "call", "gating", "passing"),
    partitions,
    isOvertakable: fc.boolean(),
  }),
  fc.record({ answer: fc.nat({ max: 5 }) }),
);

test("nothing begins before what it must not overtake, and everything that may begin has begun", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const model = new Model();
      const items: Item[] = [];
      for (const one of steps) {
        const before = model.begun.length;
        if ("answer" in one) model.answer(one.answer);
        else {
          const item = { number: items.length, ...one };
          items.push(item);
          model.call(item);
        }
        // Of those that have begun in this step each was allowed to.
        for (const [at, number] of model.begun.entries()) {
          if (at < before) continue;
          const begunBefore = new Set(model.begun.slice(0, at));
          for (const earlier of items.slice(0, number)) {
            const item = items[number];
            if (item === undefined) continue;
            const hasEnded = model.ended.has(earlier.number);
            expect(mayPass(earlier, item, begunBefore.has(earlier.number), hasEnded)).toBe(true);
          }
        }
        // Nobody waits who needn't.
        const begun = new Set(model.begun);
        for (const item of items.filter(({ number }) => !begun.has(number))) {
          const isFree = items
            .slice(0, item.number)
            .every((earlier) =>
              mayPass(earlier, item, begun.has(earlier.number), model.ended.has(earlier.number)),
            );
          expect(isFree).toBe(false);
        }
      }
      while (model.openCount > 0) model.answer(0);
      expect(model.begun).toHaveLength(items.length);
      let isIdle = false;
      model.order.whenIdle(() => (isIdle = true));
      expect(isIdle).toBe(true);
    }),
    { numRuns: 500 },
  );
});

test("a multi-partition call waits for each of its partitions, in the order of the calls", () => {
  const model = new Model();
  model.call({ number: 0, kind: "gating", partitions: [0] });
  model.call({ number: 1, kind: "call", partitions: [0, 1] });
  model.call({ number: 2, kind: "call", partitions: [1] });
  model.call({ number: 3, kind: "call", partitions: [2] });
  expect(model.begun).toEqual([0, 3]);
  model.answer(0);
  expect(new Set(model.begun)).toEqual(new Set([0, 1, 2, 3]));
  expect(model.begun.indexOf(1)).toBeLessThan(model.begun.indexOf(2));
});

describe("costs", () => {
  // Method: every partition of every item counts how often it is looked at, so that the count is that of the steps.
  const COUNT = 3000;
  const LOOKS_MAX = 12;

  /** Adds the items, answers all of them oldest first, and gives how often their partitions were looked at. */
  function looksOf(items: readonly Omit<Item, "number">[]): number {
    let looks = 0;
    const counted = (partitions: Partitions): Partitions =>
      partitions === "all"
        ? partitions
        : new Proxy(partitions, {
            get: (target, name) => {
              if (typeof name === "string" && /^\d+$/.test(name)) looks++;
              return Reflect.get(target, name) as unknown;
            },
          });
    const model = new Model();
    items.forEach(({ kind, partitions }, number) => {
      model.call({ number, kind, partitions: counted(partitions) });
    });
    while (model.openCount > 0) model.answer(0);
    expect(model.begun).toHaveLength(items.length);
    return looks;
  }

  const many = (kind: Entry["kind"], partitions: Partitions): Omit<Item, "number">[] =>
    Array.from({ length: COUNT }, () => ({ kind, partitions }));

  test.each<[string, Omit<Item, "number">[]]>([
    [
      "a unit behind many calls, and many of another partition",
      [...many("call", [0]), ...many("call", [1]), { kind: "gating", partitions: [1] }],
    ],
    [
      "a unit between many calls",
      [...many("call", [0]), { kind: "passing", partitions: [0] }, ...many("call", [0])],
    ],
    ["many calls behind a unit", [{ kind: "gating", partitions: [0] }, ...many("call", [0])]],
    ["many transactions of one partition", many("gating", [0])],
    ["many blocking commands beside many calls", [...many("call", [1]), ...many("passing", [0])]],
    [
      "a command for all between many calls and transactions",
      [...many("call", [0]), { kind: "passing", partitions: "all" }, ...many("gating", [1])],
    ],
  ])("%s: each is looked at a few times only", (_name, items) => {
    expect(looksOf(items)).toBeLessThan(items.length * LOOKS_MAX);
  });
});
