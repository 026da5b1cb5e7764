// pub-sub-frames.test.ts: what is said about subscriptions, read and written.
import { expect, test } from "vitest";
import {
  confirmation,
  readPush,
  subscribedPong,
} from "../../../runtime/route/session/pub-sub-frames.ts";

const read = (text: string): unknown => {
  // It stands somewhere in a larger buffer.
  const bytes = Buffer.from(`xx${text}yy`, "latin1");
  return readPush(bytes, 2, bytes.length - 2);
};

test("messages and confirmations are told apart, with the subscription that they belong to", () => {
  expect(read(">3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$5\r\nhello\r\n")).toEqual({
    ...{ is: "message", topic: "channel", name: "ch" },
  });
  expect(read(">4\r\n$8\r\npmessage\r\n$2\r\nc*\r\n$2\r\nch\r\n$0\r\n\r\n")).toEqual({
    ...{ is: "message", topic: "pattern", name: "c*" },
  });
  expect(read(">3\r\n$8\r\nsmessage\r\n$12\r\n\r\nmessage\r\n\xff\r\n$1\r\nx\r\n")).toEqual({
    ...{ is: "message", topic: "shard", name: "\r\nmessage\r\n\xff" },
  });
  expect(read(">3\r\n$12\r\npunsubscribe\r\n$0\r\n\r\n:0\r\n")).toEqual({
    ...{ is: "confirmed", topic: "pattern", name: "" },
  });
  expect(read(">3\r\n$10\r\nssubscribe\r\n$1\r\na\r\n:12\r\n")).toEqual({
    ...{ is: "confirmed", topic: "shard", name: "a" },
  });
});

test("a push of another kind, or a reply, is none of them", () => {
  expect(read(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n")).toBeUndefined();
  expect(read("+PONG\r\n")).toBeUndefined();
  expect(read("-ERR no\r\n")).toBeUndefined();
});

test("confirmations are Redis's, in both protocols, of names of any bytes", () => {
  expect(confirmation("subscribe", "a\xff", 3, 2).toString("latin1")).toBe(
    "*3\r\n$9\r\nsubscribe\r\n$2\r\na\xff\r\n:3\r\n",
  );
  expect(confirmation("unsubscribe", undefined, 0, 2).toString()).toBe(
    "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n",
  );
  expect(confirmation("unsubscribe", undefined, 0, 3).toString()).toBe(
    ">3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n",
  );
  expect(subscribedPong(undefined).toString()).toBe("*2\r\n$4\r\npong\r\n$0\r\n\r\n");
  expect(subscribedPong(Buffer.from("hi")).toString()).toBe("*2\r\n$4\r\npong\r\n$2\r\nhi\r\n");
});
