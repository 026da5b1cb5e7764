// in-flight.test.ts: requests get their replies in order, and can be had back whole as long as they have none.
import { expect, test } from "vitest";
import { BARRIER, InFlight, READ } from "../../../runtime/engine/pipelines/in-flight.ts";
import type { ReplySink } from "../../../runtime/engine/pipelines/reply-sink.ts";
import { seededRandom } from "../../support/seeded-random.ts";

class Recorder implements ReplySink {
  readonly isGone = false;
  readonly owner = this;
  readonly replies: [number, string][] = [];

  take(tag: number, bytes: Buffer, start: number, end: number): void {
    this.replies.push([tag, bytes.toString("latin1", start, end)]);
  }
}

function put(wire: InFlight, sink: ReplySink, tag: number, text: string, flags = 0): void {
  const bytes = Buffer.from(`<${text}>`, "latin1");
  wire.put(sink, tag, bytes, 1, 1 + text.length, flags, tag, tag);
  bytes.fill(0);
}

function written(wire: InFlight): string {
  let text = "";
  let corked = 0;
  wire.drainTo({
    write: (piece) => (text += piece.toString("latin1")),
    cork: () => corked++,
    uncork: () => corked--,
  });
  expect(corked).toBe(0);
  return text;
}

test("what is written is what was put, in order, once, through many ticks and slabs", () => {
  const seeded = seededRandom(3);
  const [wire, sink] = [new InFlight(), new Recorder()];
  let [expected, sent, tag, answered] = ["", "", 0, 0];
  for (let tick = 0; tick < 400; tick++) {
    for (let count = seeded.below(40); count > 0; count--) {
      const text = `${++tag};${"x".repeat(seeded.isOnceIn(20) ? seeded.below(70_000) : 20)}`;
      expected += text;
      put(wire, sink, tag, text);
    }
    sent += written(wire);
    for (let count = seeded.below(wire.count + 1); count > 0; count--) {
      wire.answer(Buffer.from(`+${++answered}`), 1, 1 + String(answered).length);
    }
  }
  expect(sent === expected).toBe(true);
  expect(sink.replies).toEqual(
    Array.from({ length: answered }, (_, index) => [index + 1, String(index + 1)]),
  );
});

test("what was not written comes back in its order, and what was written stays", () => {
  const [wire, sink] = [new InFlight(), new Recorder()];
  put(wire, sink, 1, "one", READ);
  expect(written(wire)).toBe("one");
  put(wire, sink, 2, "two");
  put(wire, sink, 3, "three", READ);
  const back = wire.cancelUnsent();
  expect(back.map(({ tag, command, isRead }) => [tag, command.toString(), isRead])).toEqual([
    [2, "two", false],
    [3, "three", true],
  ]);
  expect([wire.count, written(wire)]).toEqual([1, ""]);
  put(wire, sink, 4, "four");
  expect(written(wire)).toBe("four");
  expect(wire.cancelAll().map(({ tag }) => tag)).toEqual([1, 4]);
  expect(wire.count).toBe(0);
});

test("a WAIT stands behind a batch with a write in it, behind no other, and never comes back as a request", () => {
  const [wire, sink] = [new InFlight(), new Recorder()];
  put(wire, sink, 1, "get", READ);
  wire.barrier(Buffer.from("wait"), 0);
  expect(written(wire)).toBe("get");
  put(wire, sink, 2, "set");
  put(wire, sink, 3, "get", READ);
  wire.barrier(Buffer.from("wait"), 0);
  expect(written(wire)).toBe("setgetwait");
  expect(wire.headFlags).toBe(READ);
  expect(wire.cancelAll().map(({ tag }) => tag)).toEqual([1, 2, 3]);
  put(wire, sink, 4, "set");
  wire.barrier(Buffer.from("wait"), 0);
  wire.shift();
  expect(wire.headFlags & BARRIER).toBe(BARRIER);
});
