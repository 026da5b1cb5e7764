// plain-reply.test.ts: replies as the values that ioredis gives, compared with what it makes of them itself.
import { createServer } from "node:net";
import { Redis, ReplyError, type RedisOptions } from "ioredis";
import { expect, onTestFinished, test } from "vitest";
import { PlainReplies } from "../../../runtime/resp/plain-reply.ts";

const NodeError = ReplyError as new (text: string) => Error;

const REPLIES: readonly string[] = [
  "+OK\r\n",
  ":0\r\n",
  ":-42\r\n",
  "$5\r\nh\u00e9lo\r\n",
  "$0\r\n\r\n",
  "$-1\r\n",
  "*-1\r\n",
  "_\r\n",
  "*0\r\n",
  "*3\r\n$1\r\na\r\n:7\r\n*2\r\n+x\r\n_\r\n",
  "%2\r\n$1\r\na\r\n:1\r\n$9\r\n__proto__\r\n$1\r\nb\r\n",
  "~2\r\n$1\r\na\r\n$1\r\nb\r\n",
  ",1.5\r\n",
  ",inf\r\n",
  "#t\r\n",
  "#f\r\n",
  "(12345678901234567890\r\n",
  "=8\r\ntxt:some\r\n",
  "*2\r\n-ERR inner\r\n$1\r\na\r\n",
];

const SHAPES: readonly RedisOptions[] = [
  {},
  { replyMapping: "resp3" },
  { stringNumbers: true },
  { stringNumbers: true, replyMapping: "resp3" },
];

/** What ioredis makes of each reply, by a server that says just that. */
async function asIoredis(options: RedisOptions, isText: boolean): Promise<unknown[]> {
  let next = 0;
  const server = createServer((socket) => {
    socket.on("data", (chunk) => {
      const isHello = chunk.toString().includes("hello");
      socket.write(isHello ? "%1\r\n$5\r\nproto\r\n:3\r\n" : (REPLIES[next++] ?? ""));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" ? (address?.port ?? 0) : 0;
  const redis = new Redis(port, "127.0.0.1", {
    ...options,
    enableReadyCheck: false,
    disableClientInfo: true,
  } as RedisOptions & { replyMapping: "legacy" });
  onTestFinished(() => {
    redis.disconnect();
    server.close();
  });
  const values: unknown[] = [];
  for (let count = 0; count < REPLIES.length; count++) {
    values.push(await (isText ? redis.call("x") : redis.callBuffer("x")));
  }
  return values;
}

test.each(SHAPES)(
  "every type is what ioredis makes of it, as text and as bytes: %o",
  async (shape) => {
    const replies = new PlainReplies(
      {
        isResp3: shape.replyMapping === "resp3",
        hasStringNumbers: shape.stringNumbers === true,
      },
      (text) => new NodeError(text),
    );
    for (const isText of [true, false]) {
      const own = REPLIES.map((reply) => {
        const bytes = Buffer.from(`before${reply}`);
        const value = replies.decode(bytes, 6, isText);
        // Nothing of it lies in the memory that it was read from.
        bytes.fill(0);
        return value;
      });
      expect(own).toEqual(await asIoredis(shape, isText));
    }
  },
);

test("an error is what the caller makes of its text", () => {
  const shape = { isResp3: false, hasStringNumbers: false };
  const replies = new PlainReplies(shape, (text) => new TypeError(text));
  const found = ["-ERR no\r\n", "!6\r\nERR no\r\n"].map((reply) =>
    replies.decode(Buffer.from(reply), 0, true),
  );
  expect(found).toEqual([new TypeError("ERR no"), new TypeError("ERR no")]);
});
