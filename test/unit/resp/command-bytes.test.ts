// The longest command that a router takes, told by what is announced.
import { expect, test } from "vitest";
import { RequestSplitter } from "../../../runtime/resp/request-splitter.ts";

function splitterOf(commandBytes: number): RequestSplitter {
  const splitter = new RequestSplitter();
  splitter.limits = { arrayLength: 100, bulkBytes: 1024 * 1024, commandBytes };
  return splitter;
}

function argument(bytes: number): string {
  return `$${bytes}\r\n${"x".repeat(bytes)}\r\n`;
}

test("a command that announces more than a command may have is refused before it has come", () => {
  const splitter = splitterOf(16_384);
  splitter.push(Buffer.from(`*3\r\n$3\r\nSET\r\n$1\r\na\r\n$16384\r\n`));
  expect(() => splitter.advance()).toThrow("Protocol error: too big command");
});

test("many arguments that are too much together are refused, and a command within the limit is not", () => {
  const splitter = splitterOf(16_384);
  splitter.push(Buffer.from(`*4\r\n${argument(5000).repeat(3)}${argument(100)}`));
  expect(splitter.advance()).toBe(true);
  splitter.push(Buffer.from(`*4\r\n${argument(5000).repeat(4)}`));
  expect(() => splitter.advance()).toThrow("too big command");
});
