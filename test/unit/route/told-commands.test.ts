// told-commands.test.ts: what is read from a node's replies to COMMAND and INFO.
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { bulk, errorReply } from "../../../runtime/resp/encode.ts";
import { TELL_COMMANDS, toldCommands } from "../../../runtime/route/told-commands.ts";

const fixture = new URL("../../cases/command-7.0.15.resp.gz", import.meta.url);
const commands = gunzipSync(readFileSync(fixture));
const infoOf = (text: string): Buffer => bulk(Buffer.from(text));

test("COMMAND and the server's part of INFO are asked for, in this order", () => {
  expect(TELL_COMMANDS.map(String)).toEqual([
    "*1\r\n$7\r\nCOMMAND\r\n",
    "*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n",
  ]);
});

test("a node that answers both tells its table and its version", () => {
  const told = toldCommands([commands, infoOf("# Server\r\nredis_version:7.0.15\r\nhz:10\r\n")]);
  expect(told).toMatchObject({ redisVersion: "7.0.15" });
  expect(typeof told === "string" ? told : told.table.has("get")).toBe(true);
});

test("a version that is not said, or may not be read, is the lowest that Twine supports", () => {
  for (const info of [infoOf("# Server\r\n"), errorReply("NOPERM no permissions")]) {
    expect(toldCommands([commands, info])).toMatchObject({ redisVersion: "7.0.0" });
  }
});

test("a node that refuses COMMAND, or ends before its second reply, tells nothing and the reason is given", () => {
  const refused = errorReply("NOAUTH Authentication required.");
  expect(toldCommands([refused, refused])).toBe(
    "COMMAND was answered by -NOAUTH Authentication required.\r\n",
  );
  expect(toldCommands([commands])).toBe("no answer");
});
