// reported-commands.test.ts: what is read from a node's replies to COMMAND and INFO.
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { bulk, errorReply } from "../../../runtime/resp/encode.ts";
import {
  REPORT_COMMANDS,
  reportedCommands,
} from "../../../runtime/route/commands/reported-commands.ts";

const fixture = new URL("../../cases/command-7.0.15.resp.gz", import.meta.url);
const commands = gunzipSync(readFileSync(fixture));
const infoOf = (text: string): Buffer => bulk(Buffer.from(text));

test("COMMAND and the server's part of INFO are asked for, in this order", () => {
  expect(REPORT_COMMANDS.map(String)).toEqual([
    "*1\r\n$7\r\nCOMMAND\r\n",
    "*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n",
  ]);
});

test("a node that answers both tells its table and its version", () => {
  const told = reportedCommands([
    commands,
    infoOf("# Server\r\nredis_version:7.0.15\r\nhz:10\r\n"),
  ]);
  expect(told).toMatchObject({ redisVersion: "7.0.15" });
  expect(told instanceof Error ? told : told.table.has("get")).toBe(true);
});

test("Valkey is known by its own name and version, not by the Redis that it is compatible with", () => {
  const info = infoOf(
    "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.4\r\n",
  );
  expect(reportedCommands([commands, info])).toMatchObject({
    redisVersion: "8.1.4",
    serverName: "valkey",
  });
  const redis = infoOf("# Server\r\nredis_version:7.0.15\r\n");
  expect(reportedCommands([commands, redis])).toMatchObject({ serverName: "redis" });
});

test("a version that is not said, or may not be read, is the lowest that Twine supports", () => {
  for (const info of [infoOf("# Server\r\n"), errorReply("NOPERM no permissions")]) {
    expect(reportedCommands([commands, info])).toMatchObject({ redisVersion: "7.0.0" });
  }
});

test("a node that refuses COMMAND, or ends before its second reply, tells nothing and the reason is given", () => {
  const refused = errorReply("NOAUTH Authentication required.");
  expect(reportedCommands([refused, refused])).toMatchObject({
    ...{ kind: "login", reason: "COMMAND was answered by -NOAUTH Authentication required." },
  });
  expect(reportedCommands([commands])).toMatchObject({ kind: "closed", reason: "no answer" });
});
