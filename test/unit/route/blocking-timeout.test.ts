// blocking-timeout.test.ts: where a blocking command says how long it waits, and how the rest of that is written.
import { expect, test } from "vitest";
import { RequestSplitter } from "../../../runtime/resp/request-splitter.ts";
import { blockingTimeout, withTimeLeft } from "../../../runtime/route/session/blocking-timeout.ts";

const wordsOf = (text: string): Buffer[] => text.split(" ").map((word) => Buffer.from(word));

function withLeft(text: string, leftMs: number): string | undefined {
  const args = wordsOf(text);
  const timeout = blockingTimeout(args);
  if (timeout === undefined) return undefined;
  const splitter = new RequestSplitter();
  splitter.push(withTimeLeft(args, timeout, leftMs));
  return splitter.next()?.args.join(" ");
}

test("the time is found wherever the command has it, and replaced by what is left of it", () => {
  expect(withLeft("BLPOP 5 6 10", 1500)).toBe("BLPOP 5 6 1.5");
  expect(withLeft("brpop a 10", 1)).toBe("brpop a 0.001");
  expect(withLeft("BLMOVE a b LEFT RIGHT 1.5", 250)).toBe("BLMOVE a b LEFT RIGHT 0.25");
  expect(withLeft("BRPOPLPUSH a b 3", 2000)).toBe("BRPOPLPUSH a b 2");
  expect(withLeft("BLMPOP 5 2 a b LEFT COUNT 9", 100)).toBe("BLMPOP 0.1 2 a b LEFT COUNT 9");
  expect(withLeft("BZMPOP .5 1 a MIN", 100)).toBe(undefined);
  expect(withLeft("BZPOPMAX a 2", 1000.4)).toBe("BZPOPMAX a 1.001");
  expect(withLeft("XREAD COUNT 1 BLOCK 5000 STREAMS block 0", 70)).toBe(
    "XREAD COUNT 1 BLOCK 70 STREAMS block 0",
  );
  expect(withLeft("XREADGROUP GROUP g c BLOCK 5000 STREAMS s >", 70.5)).toBe(
    "XREADGROUP GROUP g c BLOCK 71 STREAMS s >",
  );
});

test("time that is over is written as a millisecond, since zero would wait for ever", () => {
  expect(withLeft("BLPOP a 5", -20)).toBe("BLPOP a 0.001");
  expect(withLeft("XREAD BLOCK 5 STREAMS s 0", 0)).toBe("XREAD BLOCK 1 STREAMS s 0");
});

test("what waits for ever goes on so", () => {
  expect(blockingTimeout(wordsOf("BLPOP a 0"))?.timeoutMs).toBe(Number.POSITIVE_INFINITY);
  expect(withLeft("BLPOP a 0", Number.POSITIVE_INFINITY)).toBe("BLPOP a 0");
});

test("what Redis will refuse, and what does not block, has no time", () => {
  for (const text of [
    ...["BLPOP a x", "BLPOP a -1", "BLMPOP x 1 a LEFT", "XREAD STREAMS block 0", "GET a"],
    ...["XREAD BLOCK STREAMS s 0", "BLPOP a 1e3"],
  ]) {
    expect(blockingTimeout(wordsOf(text)), text).toBeUndefined();
  }
});
