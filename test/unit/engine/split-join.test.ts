// split-join.test.ts: a command over keys of several partitions is cut in one pass, in whatever order its keys come.
import { expect, test } from "vitest";
import type { NodePipelines } from "../../../runtime/engine/pipelines/node-pipelines.ts";
import type { ReplySink } from "../../../runtime/engine/pipelines/reply-sink.ts";
import { sendByKeys } from "../../../runtime/engine/dispatch/split-join.ts";
import { RouterStats } from "../../../runtime/engine/stats/counters.ts";
import { Tick } from "../../../runtime/engine/pipelines/tick.ts";
import { encodeCommand } from "../../../runtime/resp/encode.ts";
import { RequestSplitter } from "../../../runtime/resp/request-splitter.ts";
import type { FastCommand } from "../../../runtime/route/commands/fast-commands.ts";

const DEL: FastCommand = {
  ...{ kind: 2, name: Buffer.from("del"), isRead: false, arity: -2, number: 0 },
  shape: { merge: "sum", keyStep: 1, name: "del", isRead: false },
};

/** A key is the number of its partition. */
function cut(keys: readonly string[]): { readonly parts: Map<number, number>; reply: string } {
  const raw = new RequestSplitter();
  raw.push(encodeCommand(["DEL", ...keys]));
  raw.advance();
  const parts = new Map<number, number>();
  const result = { parts, reply: "" };
  const sink: ReplySink = {
    ...{ owner: { isGone: false }, isGone: false },
    take: (_tag, bytes, start, end) => {
      result.reply = bytes.toString("latin1", start, end);
    },
  };
  const pipelines = {
    of: (partition: number) => ({
      submit: (join: ReplySink, part: number, bytes: Buffer, start: number) => {
        const count = Number.parseInt(bytes.toString("latin1", start + 1, start + 12), 10) - 1;
        parts.set(partition, count);
        const reply = Buffer.from(`:${count}\r\n`);
        join.take(part, reply, 0, reply.length);
      },
    }),
  } as unknown as NodePipelines;
  const stats = new RouterStats(new Tick(() => 0));
  const partitionOf = (bytes: Uint8Array, start: number, end: number): number =>
    Number(Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("latin1"));
  sendByKeys(sink, 0, raw, DEL, 2, { pipelines, partitionOf, stats });
  return result;
}

test("keys of one partition behind very many of another cost no more than in any other order", () => {
  const many = 200_000;
  const keys = Array.from({ length: many * 2 }, (_, at) => (at < many ? "0" : "1"));
  const { parts, reply } = cut(keys);
  expect([...parts]).toEqual([
    [0, many],
    [1, many],
  ]);
  expect(reply).toBe(`:${many * 2}\r\n`);
});

test("very many keys of very many partitions: each key is looked at a few times, not once for each part", () => {
  // 100,000 parts that each look at 400,000 keys would not end in the time of a test.
  const [parts, each] = [100_000, 4];
  const keys = Array.from({ length: parts * each }, (_, at) => String(at % parts));
  const found = cut(keys);
  expect(found.parts.size).toBe(parts);
  expect(new Set(found.parts.values())).toEqual(new Set([each]));
  expect(found.reply).toBe(`:${parts * each}\r\n`);
});

test("a command leaves nothing behind for the next one's parts", () => {
  expect([...cut(["2", "0", "2"]).parts]).toEqual([
    [2, 2],
    [0, 1],
  ]);
  expect([...cut(["0", "1", "0", "2"]).parts]).toEqual([
    [0, 2],
    [1, 1],
    [2, 1],
  ]);
});
