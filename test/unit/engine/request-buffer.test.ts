// request-buffer.test.ts: what waits while the view is not confirmed: each request is looked at once, and in the right order.
import { expect, test } from "vitest";
import { systemClock } from "../../../runtime/ports/clock.ts";
import { InFlight, type BufferedRequest } from "../../../runtime/engine/pipelines/in-flight.ts";
import type { PipelineContext } from "../../../runtime/engine/pipelines/pipeline-context.ts";
import { RequestBuffer } from "../../../runtime/engine/pipelines/request-buffer.ts";
import { encodeCommand } from "../../../runtime/resp/encode.ts";

/** A program that asks, and counts how often it is asked whether it is still there. */
class Program {
  looks = 0;
  readonly owner = this;

  get isGone(): boolean {
    this.looks++;
    return false;
  }

  take(): void {
    // Nothing is answered here.
  }
}

let order = 0;
const requestOf = (sink: Program, ...args: string[]): BufferedRequest => ({
  ...{ sink, tag: 0, command: encodeCommand(args), isRead: args[0] === "GET" },
  ...{ sinceMs: systemClock.nowMs(), order: ++order, unknownAt: undefined },
});

function opened() {
  let isConfirmed = false;
  const context = {
    ...{ clock: systemClock, bufferedBytes: 0, holdBytesMax: 1e9, holdForMs: 60_000 },
  } as unknown as PipelineContext;
  const given: BufferedRequest[] = [];
  const buffer = new RequestBuffer(
    context,
    () => isConfirmed,
    (one) => given.push(one),
  );
  const wire = new InFlight();
  const confirm = (): void => {
    isConfirmed = true;
  };
  return { buffer, wire, context, given, confirm };
}

function sentBy(wire: InFlight): string {
  const pieces: Buffer[] = [];
  const ignore = (): void => undefined;
  wire.drainTo({ write: (piece) => pieces.push(piece), cork: ignore, uncork: ignore });
  const lines = Buffer.concat(pieces).toString("latin1");
  return lines
    .replaceAll(/[*$]\d+\r\n/g, "")
    .replaceAll("\r\n", " ")
    .trim();
}

test("writes that come one by one while the view is not confirmed are each looked at once", () => {
  const { buffer, wire, confirm, context } = opened();
  const program = new Program();
  const count = 5000;
  for (let number = 0; number < count; number++) {
    buffer.addLast(requestOf(program, "SET", `key:${number}`, "1"));
    buffer.releaseTo(wire, true, false);
  }
  expect(buffer.count).toBe(count);
  expect(program.looks).toBeLessThanOrEqual(2 * count);
  confirm();
  buffer.releaseTo(wire, true, false);
  expect(wire.count).toBe(count);
  expect(context.bufferedBytes).toBe(0);
});

test("a program's read never overtakes its own waiting write, and other reads go on", () => {
  const { buffer, wire, confirm, context } = opened();
  const [one, other] = [new Program(), new Program()];
  const come = (request: BufferedRequest): void => {
    buffer.addLast(request);
    buffer.releaseTo(wire, true, false);
  };
  come(requestOf(one, "SET", "a", "1"));
  come(requestOf(one, "GET", "a"));
  come(requestOf(one, "GET", "b"));
  come(requestOf(other, "GET", "a"));
  come(requestOf(one, "SET", "b", "2"));
  come(requestOf(one, "GET", "b"));
  expect(sentBy(wire)).toBe("GET b GET a");
  confirm();
  buffer.releaseTo(wire, true, false);
  expect(sentBy(wire)).toBe("SET a 1 GET a SET b 2 GET b");
  expect(context.bufferedBytes).toBe(0);
});

test("what was put back before the waiting writes is looked at again", () => {
  const { buffer, wire } = opened();
  const program = new Program();
  buffer.addLast(requestOf(program, "SET", "a", "1"));
  buffer.releaseTo(wire, true, false);
  buffer.addFirst([requestOf(program, "GET", "a")]);
  buffer.releaseTo(wire, true, false);
  expect(sentBy(wire)).toBe("GET a");
  buffer.close("the router is closing");
});

test("hold-bytes refuses the newest request, but not one that is larger than that and waits alone", () => {
  const { buffer, given, context } = opened();
  const program = new Program();
  Object.assign(context, { holdBytesMax: 100 });
  const [large, next] = [
    requestOf(program, "SET", "a", "x".repeat(200)),
    requestOf(program, "SET", "b", "1"),
  ];
  buffer.addLast(large);
  buffer.refuseBeyondMax(large);
  expect([buffer.count, given]).toEqual([1, []]);
  buffer.addLast(next);
  buffer.refuseBeyondMax(next);
  expect([buffer.count, given]).toEqual([1, [next]]);
  expect(context.bufferedBytes).toBe(large.command.length);
  buffer.close("the router is closing");
});
