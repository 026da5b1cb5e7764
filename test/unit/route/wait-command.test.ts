// wait-command.test.ts: which partitions a WAIT asks, and how their answers become one.
import { expect, test } from "vitest";
import {
  countHolders,
  leastReply,
  waitError,
  type WaitCount,
} from "../../../runtime/route/session/wait-command.ts";
import {
  MasterGenerations,
  WrittenPartitions,
} from "../../../runtime/route/session/written-partitions.ts";

test("a WAIT asks where its client wrote, and everywhere when it wrote nowhere", () => {
  const written = new WrittenPartitions(new MasterGenerations(3));
  expect(written.forWait()).toEqual({ partitions: [0, 1, 2], hasLost: false });
  written.note(2);
  written.note(0);
  expect(written.forWait()).toEqual({ partitions: [0, 2], hasLost: false });
  expect(written.forWait()).toEqual({ partitions: [0, 2], hasLost: false });
  written.clear();
  expect(written.forWait()).toEqual({ partitions: [0, 1, 2], hasLost: false });
});

test("a write under a master that is gone counts as lost, once, and a newer write counts again", () => {
  const generations = new MasterGenerations(2);
  const written = new WrittenPartitions(generations);
  written.note(0);
  written.note(1);
  generations.next(0);
  expect(written.forWait()).toEqual({ partitions: [1], hasLost: true });
  expect(written.forWait()).toEqual({ partitions: [1], hasLost: false });
  written.note(0);
  expect(written.forWait()).toEqual({ partitions: [0, 1], hasLost: false });
});

test("after the keys were spread anew every write counts as lost once", () => {
  const generations = new MasterGenerations(2);
  const written = new WrittenPartitions(generations);
  written.note(1);
  generations.restart(3);
  expect(written.forWait()).toEqual({ partitions: [], hasLost: true });
  written.note(2);
  expect(written.forWait()).toEqual({ partitions: [2], hasLost: false });
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

test("the partitions' numbers become one, and what cannot be known counts as none", () => {
  const run = (count: Partial<WaitCount>, replies: readonly (string | undefined)[]): string => {
    const finished: string[] = [];
    const args = ["WAIT", "1", "100"].map((word) => Buffer.from(word));
    const partitions = replies.map((_, index) => index);
    countHolders(
      {
        ...{ args, partitions, hasLost: false, protocol: 2, ...count },
        finish: (reply) => finished.push(reply.toString()),
      },
      (partition, done) => {
        const reply = replies[partition];
        done(reply === undefined ? undefined : Buffer.from(reply));
        // A second word about one partition changes nothing.
        done(Buffer.from(":9\r\n"));
        return () => undefined;
      },
    );
    return finished.join(" and ");
  };
  expect(run({}, [":2\r\n", ":1\r\n"])).toBe(":1\r\n");
  expect(run({}, [":2\r\n", undefined])).toBe(":0\r\n");
  expect(run({ hasLost: true }, [":2\r\n"])).toBe(":0\r\n");
  expect(run({}, ["-ERR no\r\n", ":1\r\n"])).toBe("-ERR no\r\n");
});

test("a WAIT that was ended finishes no more", () => {
  const finished: string[] = [];
  const later: ((reply: Buffer | undefined) => void)[] = [];
  let ended = 0;
  const end = countHolders(
    {
      ...{ args: [Buffer.from("WAIT")], partitions: [0, 1], hasLost: false, protocol: 2 },
      finish: (reply) => finished.push(reply.toString()),
    },
    (_partition, done) => {
      later.push(done);
      return () => ended++;
    },
  );
  end();
  for (const done of later) done(Buffer.from(":1\r\n"));
  expect([finished, ended]).toEqual([[], 2]);
});
