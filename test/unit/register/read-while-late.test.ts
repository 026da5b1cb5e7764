// A tool on a busy machine: its first connections to the status nodes are late, and it goes on.
import { expect, test } from "vitest";
import { FailureError, type FailureKind } from "../../../runtime/core/failure.ts";
import { memoryAcceptor } from "../../../runtime/register/memory-acceptor.ts";
import { NEEDED_WITHIN_MS, readWhileLate } from "../../../runtime/register/read-while-late.ts";
import type { Acceptor } from "../../../runtime/register/register.ts";
import { ManualTime } from "../../support/manual-time.ts";

/** Each attempt fails at once, as a link that is down does, until it has come up. */
function upAfter(time: ManualTime, name: string, upAtMs: number, kind: FailureKind): Acceptor {
  const acceptor = memoryAcceptor(name);
  return {
    ...acceptor,
    read: (withBody) =>
      time.nowMs < upAtMs
        ? Promise.reject(new FailureError(kind, "not yet"))
        : acceptor.read(withBody),
  };
}

async function answeredWithin(kind: FailureKind, ...upAtMs: number[]): Promise<[number, number]> {
  const time = new ManualTime();
  const nodes = upAtMs.map((atMs, index) => upAfter(time, `s${index + 1}`, atMs, kind));
  const withinMs = ({ answered }: { readonly answered: readonly string[] }): number =>
    answered.length >= 2 ? 1000 : NEEDED_WITHIN_MS;
  let result: number | undefined;
  void readWhileLate(time.clockOf("tool"), nodes, "twine", withinMs).then(({ answered }) => {
    result = answered.length;
  });
  while (result === undefined) {
    await time.step();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return [result, time.nowMs];
}

test("late nodes are read again until a majority has answered, and a late minority for a second", async () => {
  expect(await answeredWithin("no-answer", 0, 0, 0)).toEqual([3, 1]);
  const [all, allMs] = await answeredWithin("no-answer", 3000, 3000, 3000);
  expect(all).toBe(3);
  expect(allMs).toBeGreaterThanOrEqual(3000);
  const [two, twoMs] = await answeredWithin("no-answer", 0, 0, 1e9);
  expect(two).toBe(2);
  expect(twoMs).toBeLessThan(1100);
});

test("nodes that stay silent end the wait, and those that refuse are not waited for", async () => {
  const [none, waitedMs] = await answeredWithin("no-answer", 1e9, 1e9, 1e9);
  expect(none).toBe(0);
  expect(waitedMs).toBeGreaterThanOrEqual(NEEDED_WITHIN_MS);
  const [refused, refusedMs] = await answeredWithin("refused", 1e9, 1e9, 1e9);
  expect(refused).toBe(0);
  expect(refusedMs).toBeLessThan(5);
});
