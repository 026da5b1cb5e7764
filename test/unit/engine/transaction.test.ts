// transaction.test.ts: what a command becomes between MULTI and EXEC, and what the replies to all of them mean.
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { encodeCommand } from "../../../runtime/resp/encode.ts";
import { decodeReply } from "../../../runtime/resp/decode.ts";
import { RequestSplitter } from "../../../runtime/resp/request-splitter.ts";
import { parseCommandTable } from "../../../runtime/route/commands/command-table.ts";
import { transactionOutcome } from "../../../runtime/engine/dedicated/transaction-outcome.ts";
import { queueCommand } from "../../../runtime/engine/dedicated/transaction-queue.ts";

const fixture = new URL("../../cases/command-7.0.15.resp.gz", import.meta.url);
const table = parseCommandTable(decodeReply(gunzipSync(readFileSync(fixture))));

function queued(text: string, partitions = 3): string {
  const splitter = new RequestSplitter();
  splitter.push(encodeCommand(text.split(" ")));
  const request = splitter.next();
  if (request === undefined) throw new Error(text);
  const queueing = queueCommand(request, { table, partitions, hashTag: undefined });
  if (queueing.kind === "refused") return queueing.reply.toString("latin1").trimEnd();
  const { command, keys, isRead, isRepeatable } = queueing.item;
  const same = command?.equals(request.raw) === true ? "as it came" : String(command);
  return `${same}: ${keys.join(" ")}${isRead ? " read" : ""}${isRepeatable ? " repeatable" : ""}`;
}

test("a command is queued with its keys, whatever their number", () => {
  expect(queued("GET a")).toBe("as it came: a read repeatable");
  expect(queued("SET a 1")).toBe("as it came: a repeatable");
  expect(queued("INCR a")).toBe("as it came: a");
  expect(queued("MSET a 1 b 2")).toBe("as it came: a b repeatable");
  expect(queued("DEL a b")).toBe("as it came: a b repeatable");
  expect(queued("BLPOP a b 0")).toBe("as it came: a b");
  expect(queued("PUBLISH ch hi")).toBe("as it came: ch");
  expect(queued("EVAL s 1 a")).toBe("as it came: a");
});

test("a command without keys is queued when any partition may answer it", () => {
  expect(queued("PING")).toBe("as it came:  read repeatable");
  expect(queued("TIME")).toBe("as it came:  read repeatable");
  expect(queued("SELECT 0")).toBe("undefined:  read repeatable");
  expect(queued("UNWATCH")).toBe("as it came:  read repeatable");
  expect(queued("EVAL s 0")).toContain("EVAL_RO");
});

test("what concerns all partitions is queued where there is one only", () => {
  expect(queued("DBSIZE", 1)).toBe("as it came:  read repeatable");
  expect(queued("DBSIZE")).toMatch(/^-ERR twine: 'dbsize' is not supported: it concerns all part/);
  expect(queued("FLUSHALL", 1)).toContain("FLUSHDB");
});

test("what the router keeps to itself, or Redis refuses, is refused", () => {
  for (const text of ["CLIENT ID", "HELLO 3", "AUTH x", "SCAN 0", "SUBSCRIBE a", "WAIT 0 0"]) {
    expect(queued(text), text).toMatch(/^-ERR twine: /);
  }
  expect(queued("HSCAN a 0")).toMatch(/^-ERR twine: /);
  expect(queued("SELECT 1")).toMatch(/^-ERR twine: /);
  expect(queued("GET")).toBe("-ERR wrong number of arguments for 'get' command");
  expect(queued("NOPE a")).toMatch(/^-ERR unknown command 'NOPE'/);
  expect(queued("SYNC")).toBe("-ERR Command not allowed inside a transaction");
});

const outcome = (...replies: string[]): unknown => {
  const result = transactionOutcome(replies.map((reply) => Buffer.from(`${reply}\r\n`)));
  return result.kind === "refused" ? result : { kind: result.kind, reply: result.reply.toString() };
};

test("an array is an executed transaction, whatever errors stand in it; null is none", () => {
  expect(outcome("+OK", "+QUEUED", "*1\r\n-ERR x")).toEqual({
    kind: "executed",
    reply: "*1\r\n-ERR x\r\n",
  });
  expect(outcome("+OK", "*0")).toEqual({ kind: "executed", reply: "*0\r\n" });
  expect(outcome("+OK", "+QUEUED", "*-1")).toEqual({ kind: "aborted", reply: "*-1\r\n" });
  expect(outcome("+OK", "+QUEUED", "_")).toEqual({ kind: "aborted", reply: "_\r\n" });
});

test("a node that may not serve it has executed nothing, wherever it says so", () => {
  const abort = "-EXECABORT Transaction discarded because of previous errors.";
  const why = "READONLY You can't write against a read only replica.";
  expect(outcome("+OK", `-${why}`, abort)).toEqual({ kind: "refused", why });
  expect(outcome("-LOADING Redis is loading", "-ERR EXEC without MULTI")).toMatchObject({
    kind: "refused",
  });
  expect(outcome("+OK", "+QUEUED", `-EXECABORT Transaction discarded because of: ${why}`)).toEqual({
    kind: "refused",
    why,
  });
});

test("what the node refused when it was queued is told at EXEC", () => {
  const abort = "-EXECABORT Transaction discarded because of previous errors.";
  expect(outcome("+OK", "-OOM command not allowed", "+QUEUED", abort)).toEqual({
    kind: "aborted",
    reply: "-EXECABORT Transaction discarded because of: OOM command not allowed\r\n",
  });
  expect(outcome("+OK", abort)).toEqual({ kind: "aborted", reply: `${abort}\r\n` });
});
