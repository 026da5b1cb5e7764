// read-only.test.ts: what a user who may only read is refused, by the table of a real Redis 7.0.
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { decodeReply } from "../../../runtime/resp/decode.ts";
import { parseCommandTable } from "../../../runtime/route/commands/command-table.ts";
import { refusedToReader } from "../../../runtime/route/commands/read-only.ts";

const fixture = new URL("../../cases/command-7.0.15.resp.gz", import.meta.url);
const table = parseCommandTable(decodeReply(gunzipSync(readFileSync(fixture))));

const isRefused = (command: string): boolean =>
  refusedToReader(
    command.split(" ").map((word) => Buffer.from(word)),
    table,
  ) !== undefined;

test("what changes keys, administers the server or tells of other clients is refused", () => {
  const refused = [
    ...["SET a b", "EVAL x 0", "PUBLISH a b", "FLUSHALL", "SORT a STORE b"],
    ...["BGSAVE", "BGREWRITEAOF", "SAVE", "CONFIG GET *", "SLOWLOG GET", "SLOWLOG RESET"],
    ...["MEMORY PURGE", "CLIENT LIST", "CLIENT KILL ID 1", "SCRIPT KILL", "FUNCTION KILL"],
    ...["ACL LIST", "MONITOR", "SHUTDOWN", "DEBUG SLEEP 1", "LATENCY RESET"],
  ];
  expect(refused.filter((command) => !isRefused(command))).toEqual([]);
});

test("what reads keys or concerns the caller alone is allowed", () => {
  const allowed = [
    ...["GET a", "MGET a b", "SCAN 0", "DBSIZE", "KEYS *", "SORT_RO a", "EVAL_RO x 0"],
    ...["MEMORY USAGE a", "OBJECT ENCODING a", "CLIENT ID", "CLIENT SETNAME a", "CLIENT GETNAME"],
    ...["PING", "INFO", "ECHO a", "TIME", "COMMAND COUNT", "ACL WHOAMI", "SUBSCRIBE a", "WATCH a"],
  ];
  expect(allowed.filter(isRefused)).toEqual([]);
});
