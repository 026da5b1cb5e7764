// wait.test.ts: which partitions a WAIT asks, and how their answers become one.
import { expect, test } from "vitest";
import { leastReply, waitError } from "../../../../runtime/router/own-connections/wait.ts";
import { WrittenPartitions } from "../../../../runtime/router/lanes/written-partitions.ts";

test("a WAIT asks where its client wrote, and everywhere when it wrote nowhere", () => {
  const written = new WrittenPartitions(new Int32Array([1, 1, 1]));
  expect(written.forWait()).toEqual({ partitions: [0, 1, 2], hasLost: false });
  written.note(2);
  written.note(0);
  expect(written.forWait()).toEqual({ partitions: [0, 2], hasLost: false });
  expect(written.forWait()).toEqual({ partitions: [0, 2], hasLost: false });
  written.clear();
  expect(written.forWait()).toEqual({ partitions: [0, 1, 2], hasLost: false });
});

test("a write under a master that is gone counts as lost, once, and a newer write counts again", () => {
  const terms = new Int32Array([1, 1]);
  const written = new WrittenPartitions(terms);
  written.note(0);
  written.note(1);
  terms[0] = 2;
  expect(written.forWait()).toEqual({ partitions: [1], hasLost: true });
  expect(written.forWait()).toEqual({ partitions: [1], hasLost: false });
  written.note(0);
  expect(written.forWait()).toEqual({ partitions: [0, 1], hasLost: false });
});

test("the least number of each kind is the reply", () => {
  expect(leastReply([[2], [1], [3]], [0], 2).toString()).toBe(":1\r\n");
  expect(leastReply([], [0], 2).toString()).toBe(":0\r\n");
  expect(
    leastReply(
      [
        [1, 2],
        [0, 3],
      ],
      [0, 0],
      3,
    ).toString(),
  ).toBe("*2\r\n:0\r\n:2\r\n");
});

test("wrong arguments are told in Redis's words", () => {
  const said = (text: string): string | undefined =>
    waitError(text.split(" ").map((word) => Buffer.from(word)))?.toString();
  expect(said("WAIT 1 100")).toBeUndefined();
  expect(said("WAIT x 100")).toBe("-ERR value is not an integer or out of range\r\n");
  expect(said("WAIT 1 x")).toBe("-ERR timeout is not an integer or out of range\r\n");
  expect(said("WAIT 1 -1")).toBe("-ERR timeout is negative\r\n");
  expect(said("WAITAOF 1 x 100")).toBe("-ERR value is not an integer or out of range\r\n");
});
