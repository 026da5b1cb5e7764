// decide.test.ts: the routing table of test/cases, decided without a server: the table of commands is the reply of
// COMMAND that a redis-server 7.0.15 gave (test/cases/command-7.0.15.resp.gz).
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { decodeReply } from "../../../runtime/resp/decode.ts";
import { parseCommandTable } from "../../../runtime/route/command-table.ts";
import { RequestSplitter } from "../../../runtime/resp/request-splitter.ts";
import { decide, type Decision } from "../../../runtime/route/decide.ts";
import { ROUTING_CASES, type RoutingCase } from "../../cases/routing.ts";

const fixture = new URL("../../cases/command-7.0.15.resp.gz", import.meta.url);
const table = parseCommandTable(decodeReply(gunzipSync(readFileSync(fixture))));

const options = { table, partitions: 3, hashTag: "{}" };

function wordsOf(command: string): Buffer[] {
  return command.split(" ").map((word) => Buffer.from(word));
}

function shown(decision: Decision, args: readonly Buffer[]): RoutingCase["expect"] {
  switch (decision.kind) {
    case "reply": {
      const reply = decision.reply.toString();
      if (!reply.startsWith("-")) return { kind: "answer", reply };
      return { kind: "refuse", text: reply.slice(1, -2) };
    }
    case "blocking":
    case "forward": {
      const keys = decision.keys.map((index) => args[index]?.toString()).join(" ");
      return { kind: decision.kind, keys, isRead: decision.isRead };
    }
    case "gather":
      return { kind: "gather", gather: decision.gather };
    case "any": {
      if (decision.command === undefined) return { kind: "any" };
      const splitter = new RequestSplitter();
      splitter.push(decision.command);
      const becomes = splitter.next()?.args.map(String).join(" ") ?? "";
      return { kind: "any", becomes };
    }
    case "split":
    case "scan":
    case "session":
    case "own":
    case "ask-keys":
    case "router-info":
      return { kind: decision.kind };
  }
}

for (const { command, expect: expected } of ROUTING_CASES) {
  test(`${command}: ${expected.kind}`, () => {
    const args = wordsOf(command);
    const actual = shown(decide(args, options), args);
    if (expected.kind === "refuse" && actual.kind === "refuse") {
      expect(actual.text.startsWith(expected.text), actual.text).toBe(true);
    } else {
      expect(actual).toEqual(expected);
    }
  });
}

test("every command of the server's table has a decision, and none is an unknown command", () => {
  for (const spec of table.values()) {
    const args = wordsOf(`${spec.name}${" 1".repeat(Math.abs(spec.arity) - 1)}`);
    const actual = shown(decide(args, options), args);
    if (actual.kind === "refuse") expect(actual.text).not.toMatch(/unknown command/);
  }
});

test("with one partition a script without keys goes as it is, and SORT may use patterns", () => {
  const options = { table, partitions: 1 };
  expect(decide(wordsOf("EVAL s 0"), options)).toMatchObject({ kind: "any", isRead: false });
  expect(decide(wordsOf("SORT a BY w_*"), options)).toMatchObject({ kind: "forward", keys: [1] });
});

test("FLUSHALL empties this cluster's database and no other of the same servers", () => {
  const decision = decide(wordsOf("FLUSHALL ASYNC"), { table, partitions: 3 });
  expect(decision.kind === "gather" && decision.command.toString()).toBe(
    "*2\r\n$7\r\nFLUSHDB\r\n$5\r\nASYNC\r\n",
  );
});
