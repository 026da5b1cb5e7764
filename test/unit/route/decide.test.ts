// decide.test.ts: the routing table of test/cases, decided without a server: the table of commands is the reply of
// COMMAND that a redis-server 7.0.15 gave (test/cases/command-7.0.15.resp.gz).
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { decodeReply } from "../../../runtime/resp/decode.ts";
import { parseCommandTable } from "../../../runtime/route/commands/command-table.ts";
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

/** Every command and subcommand that a redis-server 6.2 lacks is left out here. */
const oldFixture = new URL("../../cases/command-6.2.5.resp.gz", import.meta.url);
const oldTable = parseCommandTable(decodeReply(gunzipSync(readFileSync(oldFixture))));
const OLD_OPTIONS = { ...options, table: oldTable };

function isNewerThanSix(args: readonly Buffer[]): boolean {
  const [name = "", sub = ""] = args.map((arg) => arg.toString().toLowerCase());
  const spec = oldTable.get(name);
  if (spec === undefined) return true;
  return spec.subcommands.size > 0 && !spec.subcommands.has(sub);
}

test("a server of Redis 6.2, which reports less of its commands, is routed to as one of 7.0", () => {
  const differing = ROUTING_CASES.filter(({ command }) => !isNewerThanSix(wordsOf(command)))
    .map(({ command }) => {
      const args = wordsOf(command);
      const [before, now] = [decide(args, OLD_OPTIONS), decide(args, options)];
      return { command, before: shown(before, args), now: shown(now, args) };
    })
    // What is refused as a whole is refused there without the name of the subcommand.
    .filter(({ before, now }) => before.kind !== "refuse" || now.kind !== "refuse")
    .filter(({ before, now }) => JSON.stringify(before) !== JSON.stringify(now));
  // The server is asked for the keys of the first; the second has no read-only twin there, and is refused with the reason.
  const known = ["GEORADIUS a 1 1 1 km STORE b", "EVAL s 0 x"];
  expect(differing.filter(({ command }) => !known.includes(command))).toEqual([]);
});

for (const [command, kind] of [
  ["BLPOP a{x} b{x} 0", "blocking"],
  ["XREAD BLOCK 0 STREAMS s $", "blocking"],
  ["XREADGROUP GROUP g c BLOCK 0 STREAMS s >", "blocking"],
  ["EVAL x 1 k", "forward"],
  ["ZUNIONSTORE d{x} 2 a{x} b{x}", "forward"],
  ["MEMORY USAGE k", "forward"],
  ["CONFIG GET maxmemory", "any"],
  ["SCRIPT LOAD x", "gather"],
  ["PUBSUB NUMSUB c", "gather"],
  ["SLOWLOG LEN", "gather"],
  ["ACL CAT", "any"],
] as const) {
  test(`on 6.2 ${command}: ${kind}`, () => {
    expect(decide(wordsOf(command), OLD_OPTIONS).kind).toBe(kind);
  });
}
