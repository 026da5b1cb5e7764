// resp.test.ts: what must hold of RESP for any bytes in any chunks.
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeReply } from "../../runtime/resp/decode.ts";
import { encodeCommand, encodeReply } from "../../runtime/resp/encode.ts";
import { RespError } from "../../runtime/resp/limits.ts";
import { elementsOf, ReplyScanner } from "../../runtime/resp/reply-scanner.ts";
import { RequestSplitter, type Request } from "../../runtime/resp/request-splitter.ts";
import type { RespValue } from "../../runtime/resp/value.ts";

const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array));
const line = fc.uint8Array({ maxLength: 20 }).map((array) =>
  Buffer.from(array)
    .toString("latin1")
    .replaceAll(/[\r\n]/g, "."),
);

const { value } = fc.letrec<{ value: RespValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.record({ type: fc.constant("simple" as const), text: line }),
    fc.record({ type: fc.constant("error" as const), text: line }),
    fc.record({ type: fc.constant("integer" as const), value: fc.bigInt() }),
    fc.record({ type: fc.constant("big" as const), value: fc.bigInt() }),
    fc.record({ type: fc.constant("bulk" as const), bytes }),
    fc.record({ type: fc.constant("bulk-error" as const), bytes }),
    fc.record({ type: fc.constant("boolean" as const), value: fc.boolean() }),
    fc.record({ type: fc.constant("double" as const), text: fc.double().map(String) }),
    fc.record({
      type: fc.constant("null" as const),
      of: fc.constantFrom("bulk" as const, "array" as const, "any" as const),
    }),
    fc.record({
      type: fc.constant("verbatim" as const),
      format: fc.constantFrom("txt", "mkd"),
      bytes,
    }),
    fc.record({
      type: fc.constantFrom("array" as const, "set" as const, "push" as const),
      items: fc.array(tie("value"), { maxLength: 4 }),
    }),
    fc.record({
      type: fc.constant("map" as const),
      entries: fc.array(fc.tuple(tie("value"), tie("value")), { maxLength: 3 }),
    }),
  ),
}));

const command = fc.array(bytes, { minLength: 1, maxLength: 6 });
const cuts = fc.array(fc.nat(), { maxLength: 12 });

/** The same bytes in other pieces. Each piece is a copy, as from a socket. */
function chunksOf(whole: Buffer, at: readonly number[]): Buffer[] {
  const places = at.map((place) => place % (whole.length + 1)).sort((a, b) => a - b);
  const ends = [...places, whole.length];
  return ends.map((end, index) => Buffer.from(whole.subarray(ends[index - 1] ?? 0, end)));
}

function requestsOf(chunks: readonly Buffer[]): Request[] {
  const splitter = new RequestSplitter();
  const requests: Request[] = [];
  for (const chunk of chunks) {
    splitter.push(chunk);
    for (let next = splitter.next(); next !== undefined; next = splitter.next()) {
      requests.push(next);
    }
  }
  return requests;
}

function repliesOf(chunks: readonly Buffer[]): Buffer[] {
  const scanner = new ReplyScanner();
  const replies: Buffer[] = [];
  for (const chunk of chunks) {
    scanner.push(chunk);
    for (let next = scanner.next(); next !== undefined; next = scanner.next()) replies.push(next);
  }
  return replies;
}

test("decoding a reply gives back what was encoded", () => {
  fc.assert(
    fc.property(value, (reply) => {
      expect(decodeReply(encodeReply(reply, 3))).toEqual(reply);
    }),
  );
});

test("replies are cut at the same places whatever the chunks", () => {
  fc.assert(
    fc.property(fc.array(value, { maxLength: 5 }), cuts, (replies, at) => {
      const encoded = replies.map((reply) => encodeReply(reply, 3));
      expect(repliesOf(chunksOf(Buffer.concat(encoded), at))).toEqual(encoded);
    }),
  );
});

test("a reply in RESP2 is one reply too, whatever it holds", () => {
  fc.assert(
    fc.property(value, (reply) => {
      const encoded = encodeReply(reply, 2);
      expect(repliesOf([encoded])).toEqual([encoded]);
      decodeReply(encoded);
    }),
  );
});

test("the elements of an array are its parts in order", () => {
  fc.assert(
    fc.property(fc.array(value, { maxLength: 6 }), (items) => {
      const raw = encodeReply({ type: "array", items }, 3);
      expect(elementsOf(raw)).toEqual(items.map((item) => encodeReply(item, 3)));
    }),
  );
});

test("commands are split at the same places whatever the chunks, with every byte of every argument", () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 5 }), cuts, (commands, at) => {
      const encoded = commands.map((args) => encodeCommand(args));
      const requests = requestsOf(chunksOf(Buffer.concat(encoded), at));
      expect(requests.map(({ raw }) => raw)).toEqual(encoded);
      expect(requests.map(({ args }) => args)).toEqual(commands);
    }),
  );
});

test("a request byte by byte is the same request", () => {
  const whole = Buffer.from("*2\r\n$3\r\nGET\r\n$3\r\na\r\n\r\nPING\r\n\r\n*1\r\n$4\r\nPING\r\n");
  const single = [...whole].map((byte) => Buffer.from([byte]));
  expect(requestsOf(single)).toEqual(requestsOf([whole]));
  expect(requestsOf(single).map(({ args }) => args.map(String))).toEqual([
    ["GET", "a\r\n"],
    ["PING"],
    ["PING"],
  ]);
});

/** Garbage that looks like RESP gets further than plain noise does. */
const garbage = fc.oneof(
  fc.uint8Array({ maxLength: 60 }).map((array) => Buffer.from(array)),
  fc
    .array(
      fc.constantFrom("*", "$", "%", "|", "~", "1", "-1", "2", "99999999999", "\r\n", "a", '"'),
      { maxLength: 20 },
    )
    .map((parts) => Buffer.from(parts.join(""))),
);

test("garbage is read or refused by a RespError, and the same in any chunks", () => {
  const outcome = (read: () => unknown): unknown => {
    try {
      return read();
    } catch (error) {
      expect(error).toBeInstanceOf(RespError);
      return error instanceof Error ? error.message : error;
    }
  };
  fc.assert(
    fc.property(garbage, cuts, (noise, at) => {
      outcome(() => decodeReply(noise));
      const chunks = chunksOf(noise, at);
      for (const read of [requestsOf, repliesOf]) {
        const whole = outcome(() => read([noise]));
        const parts = outcome(() => read(chunks));
        if (typeof whole !== "string") expect(parts).toEqual(whole);
        else expect(typeof parts).toBe("string");
      }
    }),
    { numRuns: 2000 },
  );
});
