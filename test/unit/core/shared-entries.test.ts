// shared-entries.test.ts: what may stand in the shared hashes, and what is wrong with everything else.
import { expect, test } from "vitest";
import {
  ENTRY_CHARS_MAX,
  readEntry,
  type SharedHash,
} from "../../../runtime/core/shared-entries.ts";

const request = (body: unknown, more: object = {}): string =>
  JSON.stringify({ id: "r1", body, state: "asked", message: "", ...more });

test.each<[SharedHash, string, string]>([
  ["request", "r1", request({ kind: "handover", node: "a1" })],
  ["request", "r1", request({ kind: "restore", step: "alive", token: "t", count: 3 })],
  [
    "request",
    "r1",
    request({
      kind: "restore",
      step: "finish",
      token: "t",
      by: "x",
      replicationIds: [],
      masters: ["a1", null],
    }),
  ],
  // A later version's: the alpha refuses it, and whoever asks learns so.
  ["request", "r1", request({ kind: "of-a-later-version", anything: [1] })],
  ["observed", "m1", '7 {"sequence":"1","confDigest":"d","suspects":["a1"],"more":1}'],
  ["offsets", "a1", '7 {"replicationId":"r","offset":-1,"keys":0}'],
  ["mailed", "book", '7 {"incidents":[]}'],
])("%s: a well-formed entry is read", (hash, field, entry) => {
  expect(readEntry(hash, field, entry)).toMatchObject({ sequence: hash === "request" ? 0 : 7 });
});

test.each<[SharedHash, string, string, RegExp]>([
  ["request", "r1", request(null), /body is not an object/],
  ["request", "r1", request({ kind: "handover" }), /body\.node is missing/],
  ["request", "r1", request({ kind: "restore", step: "begin" }), /body\.token is missing/],
  [
    "request",
    "r1",
    request({ kind: "restore", step: "alive", token: "t" }),
    /body\.step is not one of/,
  ],
  [
    "request",
    "r1",
    request({ kind: "constructor" }).replace("r1", "r2"),
    /not the name of its field/,
  ],
  ["request", "r1", request({ kind: "handover", node: 5 }), /body\.node is not a text/],
  [
    "request",
    "r1",
    request({ kind: "handover", node: "a1" }, { state: "maybe" }),
    /state is not one of/,
  ],
  ["request", "r1", "[]", /it is not an object/],
  ["request", "r1", "{", /it is not JSON/],
  ["request", "r1", " ".repeat(ENTRY_CHARS_MAX + 1), /longer than/],
  ["observed", "m1", '{"sequence":"1","confDigest":"d","suspects":[]}', /sequence number/],
  ["observed", "m1", '9999999999999999 {"sequence":"1"}', /sequence number/],
  [
    "observed",
    "m1",
    '1 {"sequence":"1","confDigest":"d","suspects":[null]}',
    /suspects\[0\] is not a text/,
  ],
  ["offsets", "a1", '1 {"replicationId":"r","offset":"5","keys":1}', /offset is not a number/],
  ["mailed", "book", '1 {"incidents":[null]}', /incidents\[0\] is not an object/],
])("%s: a malformed entry is named with what is wrong (%#)", (hash, field, entry, why) => {
  expect(readEntry(hash, field, entry)).toMatch(why);
});
